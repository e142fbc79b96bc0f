"""poster.h: the client for C and C++, compiled as users compile it, in real runs."""

import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from harness import (
    HERE,
    PosterTest,
    main,
    needs_program,
    needs_root,
    poster_only,
    read_bytes,
    wait_until,
)
from test_log import png

SOURCES = HERE.parent / "c_client"
INCLUDE = HERE.parent.parent / "include"
STRICT = ["-DPOSTER_WARNINGS", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pedantic"]
CLANG = next((name for name in ("clang", "clang-19", "clang-18", "clang-16", "clang-14") if shutil.which(name)), None)
LOSS_MS = 200  # what SIGKILL may take is younger than that


def compile_c(output, *sources, compiler="cc", flags=("-std=gnu99", "-O2")):
    command = [compiler, *flags, *STRICT, "-I", str(INCLUDE), *(str(SOURCES / source) for source in sources)]
    link = () if "-c" in flags else ("-pthread", "-ldl")
    subprocess.run([*command, "-o", str(output), *link], check=True)
    return str(output)


@poster_only
@needs_program("cc")
class CClient(PosterTest):
    @classmethod
    def setUpClass(cls):
        cls.programs = pathlib.Path(tempfile.mkdtemp(prefix="poster-c-client-"))
        cls.addClassCleanup(shutil.rmtree, cls.programs)
        cls.client = compile_c(cls.programs / "client", "client.c", "second.c")

    def run_client(self, *arguments, status=0, **options):
        """Runs the client under poster, in a store of its own."""
        self.fresh_store()
        done = self.launch(self.client, *arguments, **options)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return done

    def files(self):
        return sorted((self.attempt_dir() / "events").iterdir())

    def lines(self, file=None):
        """Each must be whole."""
        text = "".join(path.read_text() for path in ([file] if file else self.files()))
        self.assertTrue(text == "" or text.endswith("\n"))
        return [json.loads(line) for line in text.splitlines()]

    def steps(self, name, events=None):
        return [e["step"] for e in (events or self.lines()) if e["kind"] == "metric" and name in e["values"]]

    # ---- what is logged

    def test_everything_that_can_be_logged_is_in_the_run(self):
        (self.cwd / "model.bin").write_bytes(os.urandom(300000))
        (self.cwd / "grid.image").write_bytes(png(3, 2))
        stderr = self.run_client("everything", "model.bin", "grid.image").stderr.decode()
        self.assertEqual(stderr.count("\n"), 1, stderr)
        self.assertIn("not loud", stderr)
        (file,) = self.files()
        self.assertRegex(file.name, rf"^{socket.gethostname()}\.\d+\.jsonl$")
        events = self.lines()
        for event in events:
            self.assertLess(abs(event.pop("time") - time.time()), 600)
            self.assertNotIn("rank", event)
        names = ["loss", 'a"b\\c\n\x01', "bad" + "\ufffd" * 6, "ü€🌍"]
        long = "x" * 200000
        metric = lambda values, **more: {"kind": "metric", **more, "values": values}
        value = lambda kind, name, value: {"kind": kind, "values": {name: value}}
        message = lambda level, text: {"kind": "message", "level": level, "text": text}
        saved = lambda name: {"kind": "file", "bytes": 300000, "name": name, "path": f"files/{name}"}
        image = lambda path, **more: {
            "kind": "image", "name": "samples/a", "path": f"images/samples/a/{path}.png", "width": 3, "height": 2,
            "format": "png", **more,
        }
        self.assertEqual(
            events,
            [
                metric({"loss": 0.30000000000000004}, step=0),
                metric({"loss": 3}),
                metric(dict(zip(names, [0.1, -0.0, 1e300, -12345678])), step=10),
                metric(dict(zip(names, ["NaN", "Infinity", "-Infinity", 5e-324])), step=1000000000000),
                metric({"loss": 0.1}, step=11, epoch=1.5),
                metric({"loss": 0.1}, step=12),
                message("warning", "a message"),
                message("info", long),
                message("info", "level"),
                message("error", "7" + long),
                value("config", "optimizer", "adam"),
                value("config", "api_key", "<redacted>"),
                value("config", "db.password", "<redacted>"),
                value("config", "openaiToken", "<redacted>"),
                value("config", "max_tokens", "12"),
                value("config", "tokenizer", "bpe"),
                value("config", "password_file", "/etc/x"),
                value("config", "nothing", None),
                value("config", "lr", 1e-4),
                value("config", "seed", -(2**63)),
                value("config", "amp", True),
                value("summary", "verdict", "good"),
                value("summary", "best", 0.97),
                value("summary", "epochs", 90),
                value("summary", "converged", False),
                {"kind": "notify", "text": "done"},
                saved("sub/copy.bin"),
                saved("model.bin"),
                image("10", step=10, caption='a "caption"'),
                image("10-1", step=10),
                image("image"),
                metric({"second": 2}),
            ],
        )
        for event in events:
            if event["kind"] in ("file", "image"):
                original = "model.bin" if event["kind"] == "file" else "grid.image"
                self.assertEqual((self.run_dir() / event["path"]).read_bytes(), (self.cwd / original).read_bytes())
        for path in [*(self.run_dir() / "files").rglob("*"), *(self.run_dir() / "images").rglob("*")]:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
            self.assertFalse(path.name.endswith(".tmp"))

    def test_a_metric_line_is_spelled_as_documented(self):
        self.run_client("threads", env={**self.env, "RANK": "3"})
        for line in self.files()[0].read_text().splitlines()[:1000]:
            self.assertRegex(
                line,
                r'^\{"kind":"metric","time":\d{10}\.\d{6},"step":\d+,"rank":3,"values":\{"t\d":\d+\.?\d*\}\}$',
            )

    def test_the_facts_are_the_launchers(self):
        said = self.run_client("facts", env={**self.env, "SLURM_PROCID": "2"}).stdout.decode().strip()
        run = self.run_dir()
        self.assertEqual(said, f"1|{run.name}|{run}|{run}/files|1|0|2|{run}/files/checkpoints")
        self.assertTrue((run / "files" / "checkpoints").is_dir())

    def test_outside_a_run_nothing_happens(self):
        (self.cwd / "model.bin").write_bytes(b"x")
        (self.cwd / "grid.image").write_bytes(png(3, 2))
        before = sorted(self.cwd.rglob("*"))
        done = subprocess.run([self.client, "everything", "model.bin", "grid.image"], cwd=self.cwd, env=self.env, capture_output=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        self.assertEqual(sorted(self.cwd.rglob("*")), before)
        done = subprocess.run([self.client, "facts"], env=self.env, capture_output=True)
        self.assertEqual(done.stdout, b"0||||0|0|0|\n")

    def test_wrong_calls_are_told_once_and_do_no_harm(self):
        (self.cwd / "text").write_text("text")
        stderr = self.run_client("wrong", "text").stderr.decode()
        self.assertEqual(len(stderr.splitlines()), 2, stderr)
        for line in stderr.splitlines():
            self.assertTrue(line.startswith("poster: warning: "), line)
        self.assertEqual([event.get("text") for event in self.lines()], ["empty level"])
        self.assertEqual(list((self.run_dir() / "files").iterdir()), [])
        self.assertFalse((self.store / "runs" / "x").exists())

    # ---- compilers

    def test_it_compiles_without_a_warning(self):
        c = [("second.c", "-std=c99"), ("second.c", "-std=c11", "-O3"), ("client.c", "-std=gnu17", "-O3")]
        cxx = [("wrappers.cpp", "-std=c++11"), ("wrappers.cpp", "-std=c++20", "-O3")]
        cases = {"cc": c, "c++": cxx}
        if CLANG:
            cases |= {CLANG: c, CLANG.replace("clang", "clang++"): cxx}
        for compiler, builds in cases.items():
            for source, *flags in builds:
                with self.subTest(compiler=compiler, source=source, flags=flags):
                    compile_c(self.programs / "object.o", source, compiler=compiler, flags=[*flags, "-c"])

    def test_warnings_that_a_user_chooses_are_not_about_it(self):
        flags = ["-std=c++11", "-Wold-style-cast", "-Wuseless-cast", "-Wconversion", "-Wzero-as-null-pointer-constant"]
        command = ["c++", *flags, "-Werror", "-I", str(INCLUDE), "-c", str(SOURCES / "wrappers.cpp"), "-o", "/dev/null"]
        subprocess.run(command, check=True)

    def test_the_cxx_interface_logs_the_same(self):
        compile_c(self.programs / "second.o", "second.c", flags=["-c"])
        program = self.programs / "wrappers"
        command = ["c++", "-std=c++11", *STRICT, "-I", INCLUDE, SOURCES / "wrappers.cpp", self.programs / "second.o"]
        subprocess.run([*map(str, command), "-o", program, "-pthread"], check=True)
        self.assertEqual(self.launch(program).returncode, 0)
        (file,) = self.files()
        events = self.lines(file)
        self.assertEqual(
            [(event.get("step"), event["values"]) for event in events if event["kind"] == "metric"],
            [
                (1, {"loss": 0.5}),
                (2, {"loss": 0.25}),
                (None, {"loss": 1}),
                (3, {"loss": 0.3, "acc": 0.9}),
                (None, {"second": 2}),
            ],
        )
        config = {}
        for event in events:
            config.update(event["values"] if event["kind"] == "config" else {})
        self.assertEqual(
            config,
            {"optimizer": "adam", "name": "loss", "lr": 0.1, "layers": 3, "tokens": 18000000000, "amp": True},
        )

    # ---- numbers

    def test_every_double_is_read_back_as_it_was(self):
        builds = {
            "plain": ["-std=c99", "-O2"],
            "fast-math": ["-std=gnu99", "-O3", "-ffast-math"],
            "without 128 bits": ["-std=c99", "-O2", "-U__SIZEOF_INT128__"],
        }
        for name, flags in builds.items():
            with self.subTest(build=name):
                program = compile_c(self.programs / "doubles", "doubles.c", flags=flags)
                done = subprocess.run([program, "1000000"], capture_output=True)
                self.assertEqual((done.returncode, done.stdout), (0, b""))

    def test_no_double_has_more_digits_than_python_gives_it(self):
        program = compile_c(self.programs / "doubles", "doubles.c")
        digits = lambda text: len(text.partition("e")[0].replace(".", "").lstrip("-").strip("0"))
        for line in subprocess.run([program, "100000", "print"], capture_output=True, check=True).stdout.decode().splitlines():
            mine, exact = line.split()
            self.assertEqual(float(mine), float(exact))
            self.assertEqual(digits(mine), digits(repr(float(exact))), line)
            json.loads(mine)

    @needs_program("localedef")
    def test_a_locale_with_a_decimal_comma_changes_nothing(self):
        self.make_comma_locale(self.tmp / "locales")
        self.run_client("locale", env={**self.env, "LOCPATH": str(self.tmp / "locales"), "LC_ALL": "xx_XX"})
        metric, config = self.lines()
        self.assertEqual((metric["step"], metric["epoch"], metric["values"]), (1234567, 0.5, {"loss": 1234567.25}))
        self.assertEqual(config["values"], {"lr": 1e-7})

    def make_comma_locale(self, folder):
        folder.mkdir()
        characters = "".join(f"<U{code:04X}> /x{code:02x} X\n" for code in range(128))
        (folder / "charmap").write_text(
            "<code_set_name> ANSI_X3.4-1968\n<comment_char> %\n<escape_char> /\n<mb_cur_min> 1\n<mb_cur_max> 1\n"
            f"CHARMAP\n{characters}END CHARMAP\n"
        )
        others = ("CTYPE", "COLLATE", "MONETARY", "TIME", "MESSAGES", "PAPER", "NAME", "ADDRESS", "TELEPHONE")
        copies = "".join(f'LC_{name}\ncopy "POSIX"\nEND LC_{name}\n' for name in (*others, "MEASUREMENT", "IDENTIFICATION"))
        numeric = 'LC_NUMERIC\ndecimal_point "<U002C>"\nthousands_sep "<U002E>"\ngrouping 3;3\nEND LC_NUMERIC\n'
        (folder / "comma").write_text(f"comment_char %\nescape_char /\n{copies}{numeric}")
        command = ["localedef", "-f", folder / "charmap", "-i", folder / "comma", "--no-archive", "-c", folder / "xx_XX"]
        done = subprocess.run(command, capture_output=True, text=True)  # 1: with warnings
        if not (folder / "xx_XX" / "LC_NUMERIC").exists():
            self.skipTest(f"no locale can be made here, it wants the sources of others: {done.stderr}")

    # ---- threads, processes, signals

    def test_threads_share_a_file_and_keep_their_order(self):
        self.run_client("threads")
        (file,) = self.files()
        events = self.lines(file)
        for i in range(8):
            self.assertEqual(self.steps(f"t{i}", events), list(range(20000)))

    def test_a_child_after_fork_has_a_file_of_its_own(self):
        self.run_client("fork")
        files = self.files()
        self.assertEqual(len(files), 51)
        counts = {"parent": 0, "child": 0}
        for file in files:
            events = self.lines(file)
            writer = "child" if self.steps("child", events) else "parent"
            counts[writer] += 1
            if writer == "child":
                self.assertEqual(self.steps("child", events), list(range(200)))
                self.assertEqual(len(events), 200)
            else:
                self.assertEqual(self.steps("parent", events), list(range(100)))
                self.assertEqual(self.steps("thread", events), list(range(20000)))
        self.assertEqual(counts, {"parent": 1, "child": 50})

    def test_a_program_that_goes_on_in_a_child_loses_nothing(self):
        self.run_client("daemon")
        wait_until(lambda: sum(read_bytes(file).count(b"\n") for file in self.files()) == 20, what="twenty lines")
        self.assertEqual((self.steps("main"), self.steps("child")), (list(range(10)), list(range(10))))

    def test_threads_may_be_cancelled(self):
        self.run_client("cancel")
        self.assertEqual(self.steps("after"), [1])

    def test_a_signal_handler_that_logs_does_not_deadlock(self):
        self.run_client("handlers")
        self.assertEqual(self.steps("main"), list(range(100000)))
        self.assertTrue(self.steps("handler"))

    def test_exit_in_a_signal_handler_ends_and_writes(self):
        for _ in range(10):
            self.run_client("exit_in_handler", random.randrange(1000, 30000), status=3)
            steps = self.steps("main")[1:]
            self.assertEqual(steps, [at % 1000 for at in range(len(steps))])

    def test_what_is_logged_at_exit_is_written(self):
        self.run_client("late")
        self.assertEqual(self.steps("main"), list(range(10)))
        self.assertEqual(self.steps("at_exit"), [1])

    def test_a_library_that_logs_may_be_unloaded(self):
        plugin = compile_c(self.programs / "plugin.so", "plugin.c", flags=["-shared", "-fPIC", "-O2"])
        self.run_client("plugin", plugin)
        events = self.lines()
        self.assertEqual(self.steps("plugin", events), list(range(10)) * 20)
        self.assertEqual(self.steps("main", events), list(range(10)) * 20)

    def test_a_program_that_closes_every_descriptor_keeps_its_own_files(self):
        self.run_client("closing", "mine")
        self.assertEqual(read_bytes(self.cwd / "mine"), b"mine")
        self.assertEqual((self.steps("before"), self.steps("after")), (list(range(10)), list(range(10))))

    # ---- loss

    def test_what_is_older_than_the_bound_survives_any_death(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT):
            with self.subTest(signal=number):
                self.fresh_store()
                process = self.start(self.client, "quiet", stdout=subprocess.PIPE)
                self.assertEqual(process.stdout.readline(), b"logged\n")
                due = time.monotonic() + LOSS_MS / 1000
                wait_until(lambda: time.monotonic() >= due)
                os.kill(self.child_pid(), number)
                process.wait(30)
                self.assertEqual(self.steps("main"), list(range(10)))

    def test_eight_processes_that_are_killed_lose_nothing_older_than_the_bound(self):
        for pause_us in (0, 300, 20000):
            with self.subTest(pause_us=pause_us):
                self.storm(pause_us)

    def storm(self, pause_us):
        self.fresh_store()
        place = self.tmp / f"progress-{pause_us}"
        place.mkdir()
        script = f'for i in 0 1 2 3 4 5 6 7; do {self.client} storm {place}/$i {pause_us} & echo $! > {place}/$i.pid; done; wait'
        process = self.start("bash", "-c", script)
        pids = {i: self.storm_pid(place, i) for i in range(8)}
        killed = {}
        for i in random.sample(range(8), 8):
            time.sleep(random.uniform(0.05, 0.15))  # at a random moment: the test, not a wait
            killed[i] = time.monotonic_ns() // 1_000_000
            os.kill(pids[i], signal.SIGKILL)
        process.wait(30)
        for i, pid in pids.items():
            text = read_bytes(self.attempt_dir() / "events" / f"{socket.gethostname()}.{pid}.jsonl")
            # The kernel may end a write halfway when it is killed: what has no newline is no line (docs/events.md).
            steps = [json.loads(line)["step"] for line in text.rpartition(b"\n")[0].splitlines()]
            self.assertEqual(steps, list(range(1, len(steps) + 1)))
            # A process that a busy machine or disk had stopped, in a write perhaps, is measured by when it last logged.
            awake = min(killed[i], self.last_logged(place / str(i), killed[i]))
            self.assertGreaterEqual(len(steps), self.logged_by(place / str(i), awake - LOSS_MS), (i, pause_us))

    def storm_pid(self, place, i):
        """Once it has logged for longer than the bound."""
        pid = int(wait_until(lambda: read_bytes(place / f"{i}.pid").strip()))
        wait_until(lambda: self.logged_by(place / str(i), time.monotonic_ns() // 1_000_000 - LOSS_MS), what="lines")
        return pid

    def last_logged(self, progress, millisecond):
        """When it last logged something, up to this time."""
        slots = read_bytes(progress)
        for at in range(millisecond, millisecond - 5000, -1):
            if any(slots[at % 100000 * 8 : at % 100000 * 8 + 8]):
                return at
        return 0

    def logged_by(self, progress, millisecond):
        """The last step that was logged up to this time."""
        at = self.last_logged(progress, millisecond) % 100000 * 8
        return struct.unpack("q", read_bytes(progress)[at : at + 8] or bytes(8))[0]

    # ---- misfortune

    def test_a_file_size_limit_does_not_kill_the_program(self):
        (self.cwd / "big").write_bytes(bytes(200000))
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        done = subprocess.run(
            [self.client, "full", "20000", "big"], cwd=self.cwd, env=self.run_environment(self.tmp), preexec_fn=limit, capture_output=True
        )
        self.check_that_it_went_on(done, "File too large", self.tmp)

    @needs_root
    def test_a_full_disk_does_not_stop_the_program(self):
        place = self.tmp / "small"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", place], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no tmpfs can be mounted")
        self.addCleanup(subprocess.run, ["umount", str(place)], check=True)
        (self.cwd / "big").write_bytes(bytes(200000))
        done = subprocess.run(
            [self.client, "full", "20000", "big"], cwd=self.cwd, env=self.run_environment(place), capture_output=True
        )
        self.check_that_it_went_on(done, "No space left on device", place)

    def test_a_run_directory_that_has_gone_does_not_stop_the_program(self):
        (self.cwd / "big").write_bytes(b"x")
        env = {**self.run_environment(self.tmp), "POSTER_EVENTS_DIR": "/nowhere", "POSTER_FILES_DIR": "/nowhere"}
        done = subprocess.run([self.client, "full", "20000", "big"], cwd=self.cwd, env=env, capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (0, b"alive\n"))
        self.assertEqual(done.stderr.decode().count("No such file or directory"), 2, done.stderr)

    def run_environment(self, place):
        (place / "files").mkdir()
        return {
            **self.env,
            "POSTER_EVENTS_DIR": str(place),
            "POSTER_RUN_ID": "x",
            "POSTER_RUN_DIR": str(place),
            "POSTER_FILES_DIR": str(place / "files"),
        }

    def check_that_it_went_on(self, done, reason, place):
        self.assertEqual((done.returncode, done.stdout), (0, b"alive\n"), done.stderr)
        warnings = done.stderr.decode().splitlines()
        self.assertEqual([warning.rpartition(": ")[2] for warning in warnings], [reason] * 2)
        self.assertEqual(list((place / "files").iterdir()), [], "half a file was left behind")
        (file,) = place.glob("*.jsonl")
        events = [json.loads(line) for line in file.read_text().splitlines()[:-1]]  # the last one is cut off
        self.assertGreater(len(events), 500)


if __name__ == "__main__":
    main()
