"""The child inherits everything as without poster: directory, limits, priority, signal mask, variables."""

import os
import pathlib
import signal
import subprocess

from harness import BARE, POSTER, PosterTest, main, needs_program, poster_only, python


class Inheritance(PosterTest):
    def out(self, *argv, **options):
        done = self.launch(*argv, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def status_field(self, name, **options):
        """A line of /proc/self/status of the child."""
        text = self.out("cat", "/proc/self/status", **options)
        return next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith(name + ":"))

    def test_the_working_directory_is_the_callers(self):
        self.assertEqual(self.out("pwd", "-P").strip(), os.path.realpath(self.cwd))

    def test_a_working_directory_that_was_deleted_does_not_matter(self):
        doomed = self.tmp / "doomed"
        doomed.mkdir()
        words = self.shell_words("echo", "still runs")
        done = subprocess.run(
            ["bash", "-c", f"cd {doomed}; rmdir {doomed}; {words}"],
            env=self.env,
            cwd=self.tmp,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            timeout=120,
        )
        self.assertEqual((done.stdout, done.returncode), (b"still runs\n", 0))

    def test_the_umask_is_the_callers(self):
        for mask in (0o000, 0o022, 0o027, 0o077):
            with self.subTest(mask=oct(mask)):
                self.assertEqual(int(self.status_field("Umask", umask=mask), 8), mask)

    @poster_only
    def test_the_files_of_a_run_are_private_whatever_the_umask(self):
        self.out("echo", "hello", umask=0)
        for path in [self.store / "runs", *self.run_dir().rglob("*"), self.run_dir()]:
            with self.subTest(path=str(path)):
                self.assertEqual(path.stat().st_mode & 0o077, 0, oct(path.stat().st_mode))

    @needs_program("prlimit")
    def test_resource_limits_are_the_callers(self):
        limits = [
            "--nofile=123:456",
            "--stack=4000000:8000000",
            "--core=0:0",
            "--memlock=65536:65536",
            "--cpu=1000:2000",
        ]
        wanted = subprocess.run(
            ["prlimit", *limits, "cat", "/proc/self/limits"], stdout=subprocess.PIPE, check=True
        ).stdout.decode()
        self.assertEqual(self.out("cat", "/proc/self/limits", wrapper=["prlimit", *limits]), wanted)

    def test_nice_and_affinity_are_the_callers(self):
        one_cpu = {min(os.sched_getaffinity(0))}
        change = lambda: (os.nice(7), os.sched_setaffinity(0, one_cpu))
        code = "import os; print(os.nice(0), os.sched_getaffinity(0))"
        self.assertEqual(self.out(*python(code), preexec_fn=change), f"{min(os.nice(0) + 7, 19)} {one_cpu}\n")

    def test_the_signal_mask_is_the_callers(self):
        for blocked in (
            set(),
            {signal.SIGUSR1},
            {signal.SIGTERM, signal.SIGCHLD},
            {signal.SIGINT, signal.SIGRTMIN + 3},
        ):
            with self.subTest(blocked=blocked):
                mask = self.status_field(
                    "SigBlk", preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
                )
                self.assertEqual(int(mask, 16), sum(1 << number - 1 for number in blocked))

    def test_ignored_signals_are_the_callers_and_no_others(self):
        for ignored in (
            (),
            ("HUP",),
            ("INT", "QUIT"),
            ("PIPE",),
            ("USR1", "TERM"),
            ("CHLD",),
            ("TSTP", "TTOU"),
            ("XFSZ",),
        ):
            with self.subTest(ignored=ignored):
                numbers = [getattr(signal, "SIG" + name) for name in ignored]

                def prepare():
                    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                        signal.signal(number, signal.SIG_IGN if number in numbers else signal.SIG_DFL)

                mask = self.status_field("SigIgn", preexec_fn=prepare, restore_signals=False)
                self.assertEqual(int(mask, 16), sum(1 << number - 1 for number in numbers))

    def test_no_new_privileges_dumpable_and_seccomp_are_untouched(self):
        bare = (
            subprocess.run(["cat", "/proc/self/status"], stdout=subprocess.PIPE, check=True)
            .stdout.decode()
            .splitlines()
        )
        for name in ("NoNewPrivs", "Seccomp", "CapEff", "Groups", "Cpus_allowed"):
            with self.subTest(field=name):
                wanted = next((line.split(":")[1].strip() for line in bare if line.startswith(name + ":")), None)
                if wanted is not None:
                    self.assertEqual(self.status_field(name), wanted)

    def test_the_parent_of_the_child_is_its_poster(self):
        code = "import os; print(os.getppid())"
        process = self.start(*python(code), stdout=subprocess.PIPE)
        parent = int(process.stdout.read())
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(parent, os.getpid() if BARE else process.pid)

    def test_a_child_on_a_terminal_stays_in_the_session_and_group_of_its_caller(self):
        terminal = self.terminal(*python("import os; print('ids', os.getsid(0), os.getpgrp(), os.tcgetpgrp(0), 'end')"))
        match = terminal.read_until(rb"ids (\d+) (\d+) (\d+) end")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual([int(word) for word in match.groups()], [terminal.process.pid] * 3)


class Nohup(PosterTest):
    def test_hup_ignored_by_the_caller_ends_nothing(self):
        code = "import sys; open(sys.argv[1], 'w').write('up'); sys.stdin.read(); print('went on')"
        witness = self.tmp / "witness"
        process = self.start(
            *python(code, witness),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        self.wait_for(witness, b"up")
        for _ in range(3):
            os.kill(process.pid, signal.SIGHUP)
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b"went on\n")
        self.assertEqual(process.wait(60), 0)

    @needs_program("nohup")
    def test_a_nohup_run_goes_on_after_its_terminal_has_gone(self):
        fifo = self.tmp / "fifo"
        os.mkfifo(fifo)
        shell = self.shell()
        words = self.shell_words("sh", "-c", f"echo began; cat {fifo}; echo went on")
        shell.send(f"nohup {words} > {self.tmp}/out 2>&1 </dev/null &\n".encode())
        self.wait_for(self.tmp / "out", b"began")
        shell.send(b"exit\n")
        shell.wait()
        fifo.write_text("from the outside\n")
        self.assertIn(b"began\nfrom the outside\nwent on\n", self.wait_for(self.tmp / "out", b"went on"))


class Variables(PosterTest):
    def environment(self, **options):
        done = self.launch("env", "-0", **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return dict(line.split(b"=", 1) for line in done.stdout.split(b"\0") if line)

    def test_every_variable_arrives_unchanged(self):
        strange = {
            "EMPTY": "",
            "SPACES": "  a b  ",
            "LINES_": "one\ntwo\n",
            "EQUALS": "a=b=c",
            "UMLAUT": "größe",
            "QUOTE": "'\"$x`",
            "API_KEY": "sk-secret-that-the-child-needs",
            "BASH_FUNC_f%%": "() {  echo hi\n}",
            "lower.dot-dash": "1",
        }
        seen = self.environment(env={**self.env, **strange})
        for name, value in {**self.env, **strange}.items():
            with self.subTest(name=name):
                self.assertEqual(seen.get(name.encode()), value.encode())

    @poster_only
    def test_nothing_but_documented_poster_variables_is_added(self):
        added = set(self.environment()) - {name.encode() for name in self.env}
        self.assertTrue(added)
        self.assertEqual({name for name in added if not name.startswith(b"POSTER_")}, {b"PYTHONPATH"})

    @poster_only
    def test_the_callers_pythonpath_keeps_its_place_before_ours(self):
        for path, expected in (("/x", "/x:"), ("/x:", "/x::"), ("", ""), ("/a:/b", "/a:/b:")):
            with self.subTest(path=path):
                seen = self.environment(env={**self.env, "PYTHONPATH": path})[b"PYTHONPATH"].decode()
                self.assertTrue(seen.startswith(expected), seen)
                ours = pathlib.Path(seen[len(expected) :])
                self.assertTrue((ours / "poster.py").is_file(), seen)

    @poster_only
    def test_a_run_within_a_run_adds_nothing_twice(self):
        done = self.launch(POSTER, "run", "-q", "env")
        path = [line for line in done.stdout.decode().splitlines() if line.startswith("PYTHONPATH=")]
        self.assertEqual(len(path), 1)
        self.assertEqual(path[0].count("/client/"), 1)

    @poster_only
    def test_pythonpath_is_left_alone_on_request(self):
        seen = self.environment(env={**self.env, "POSTER_CLIENT_PYTHON_PATH": "false"})
        self.assertNotIn(b"PYTHONPATH", seen)
        self.assertNotIn(b"POSTER_CAPTURE", seen)

    @poster_only
    def test_the_child_is_told_where_it_is(self):
        seen = {name.decode(): value.decode() for name, value in self.environment().items()}
        self.assertEqual(seen["POSTER_RUN_ID"], self.run_dir().name)
        self.assertEqual(os.path.realpath(seen["POSTER_RUN_DIR"]), os.path.realpath(self.run_dir()))
        self.assertEqual(seen["POSTER_ATTEMPT"], "1")
        for name in ("POSTER_EVENTS_DIR", "POSTER_FILES_DIR"):
            self.assertTrue(os.path.realpath(seen[name]).startswith(os.path.realpath(self.run_dir())), seen[name])
            self.assertTrue(os.path.isabs(seen[name]))

    @poster_only
    def test_the_directories_that_the_child_is_told_of_are_there(self):
        done = self.launch("sh", "-c", 'test -d "$POSTER_RUN_DIR" && test -d "$POSTER_EVENTS_DIR" && echo there')
        self.assertEqual(done.stdout, b"there\n")

    @poster_only
    def test_env_options_change_the_childs_environment_only(self):
        seen = self.environment(options=["--env", "A=1", "--env", "B=x=y", "--env", "HOME=/elsewhere"])
        self.assertEqual((seen[b"A"], seen[b"B"], seen[b"HOME"]), (b"1", b"x=y", b"/elsewhere"))

    @poster_only
    def test_a_path_changed_by_env_decides_which_program_runs(self):
        tools = self.tmp / "tools"
        tools.mkdir()
        (tools / "my-tool").write_text("#!/bin/sh\necho mine\n")
        (tools / "my-tool").chmod(0o755)
        done = self.launch("my-tool", options=["--env", f"PATH={tools}:/usr/bin:/bin"])
        self.assertEqual((done.stdout, done.returncode), (b"mine\n", 0))

    @poster_only
    def test_cwd_option_is_where_the_child_runs_and_relative_programs_are_found(self):
        place = self.tmp / "place"
        place.mkdir()
        (place / "tool").write_text("#!/bin/sh\npwd -P\n")
        (place / "tool").chmod(0o755)
        done = self.launch("./tool", options=["-C", place])
        self.assertEqual(done.stdout.decode().strip(), os.path.realpath(place))

    def test_an_empty_environment_is_no_obstacle(self):
        done = self.launch("/bin/echo", "hello", env={"E2E_TEST": self.tmp.name})
        self.assertEqual((done.stdout, done.returncode), (b"hello\n", 0), done.stderr)


if __name__ == "__main__":
    main()
