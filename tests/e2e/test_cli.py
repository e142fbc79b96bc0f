"""The command line: what is poster's and what is the child's, and what each subcommand prints."""

import json
import os
import re
import subprocess
import sys

from harness import POSTER, PosterTest, main, poster_only, python, wait_until

LS_FIELDS = {
    "id",
    "name",
    "tags",
    "status",
    "command",
    "argv",
    "dir",
    "host",
    "started_at",
    "ended_at",
    "duration_s",
    "exit_code",
    "signal",
    "reason",
}
RUN_ID = r"^\d{8}-\d{6}-[a-z0-9]{4}$"


@poster_only
class Usage(PosterTest):
    def test_usage_errors_exit_2_and_touch_nothing(self):
        cases = [
            ["run"],
            ["run", "--timeout", "soon", "true"],
            ["run", "--grace", "-1s", "true"],
            ["run", "--no-such-option", "true"],
            ["run", "--env", "NOEQUALS", "true"],
            ["run", "-n"],
            ["rnu", "true"],
            ["ls", "--limit", "x"],
            ["ls", "--status", "finishd"],
            ["ls", "--since", "whenever"],
            ["logs", "--attempt", "x"],
            ["stop"],
            ["--nope"],
            ["ls", "extra", "words"],
        ]
        for case in cases:
            with self.subTest(command=case):
                done = subprocess.run(
                    [POSTER, *case],
                    env=self.env,
                    cwd=self.cwd,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=60,
                )
                self.assertEqual(done.returncode, 2, done)
                self.assertEqual(done.stdout, b"")
                lines = done.stderr.decode().splitlines()
                self.assertTrue(lines and all(line.startswith("poster: ") for line in lines), lines)
                self.assertEqual(os.listdir(self.cwd), [])

    def test_an_unknown_run_exits_2(self):
        self.launch("true")
        for words in (["show"], ["logs"], ["logs", "-f"], ["stop"]):
            with self.subTest(command=words):
                self.assertEqual(self.poster(*words, "no-such-run").returncode, 2)

    def test_a_mistyped_word_gets_a_suggestion(self):
        self.launch("true", options=["-n", "baseline"])
        cases = {
            ("rnu", "true"): "run",
            ("shwo",): "show",
            ("lst",): "ls",
            ("callback",): "callbacks",
            ("run", "--timeot", "5s", "true"): "--timeout",
            ("run", "--nmae", "x", "true"): "--name",
            ("ls", "--jsno"): "--json",
            ("ls", "--status", "finishd"): "finished",
            ("show", "--store", str(self.store), "baselin"): "baseline",
        }
        for arguments, wanted in cases.items():
            with self.subTest(arguments=arguments):
                done = self.poster(*arguments, store=False)
                self.assertEqual(done.returncode, 2)
                self.assertRegex(done.stderr.decode(), rf"did you mean .*{re.escape(wanted)}")

    def test_help_has_an_example_for_every_subcommand(self):
        for word in ("run", "ls", "show", "logs", "stop", "callbacks", "config", "reindex", "version"):
            with self.subTest(command=word):
                done = self.poster(word, "--help", store=False, check=0)
                self.assertIn(f"poster {word}", done.stdout.decode())
                self.assertRegex(done.stdout.decode().lower(), "example")

    def test_help_on_its_own_names_every_subcommand(self):
        text = self.poster("--help", store=False, check=0).stdout.decode()
        for word in ("run", "ls", "show", "logs", "stop", "callbacks", "config", "reindex", "version"):
            self.assertIn(word, text)

    def test_version_prints_a_version(self):
        self.assertRegex(self.poster("version", store=False, check=0).stdout.decode(), r"\d+\.\d+\.\d+")
        self.assertRegex(self.poster("--version", store=False, check=0).stdout.decode(), r"\d+\.\d+\.\d+")


class PassThrough(PosterTest):
    """From the first word of the command on, nothing is poster's."""

    SHOW = "import sys; print(sys.argv[1:])"

    def arguments_seen(self, *arguments):
        done = self.launch(*python(self.SHOW), *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return eval(done.stdout)

    def test_whatever_looks_like_posters_options_reaches_the_child(self):
        cases = [
            ["--help"],
            ["-h"],
            ["-n", "3"],
            ["--name", "x", "--store", "/nowhere"],
            ["--version"],
            ["-q", "-v"],
            ["--dry-run"],
            ["--timeout", "1s"],
            ["run", "ls"],
            ["--", "x", "--"],
            ["-"],
            [""],
            ["", " ", "a b"],
            ["--json"],
            ["-t=x"],
            ["@file"],
            ["ünï=1"],
            ["\\n", "\n", "'", '"'],
        ]
        for case in cases:
            with self.subTest(arguments=case):
                self.assertEqual(self.arguments_seen(*case), case)

    @poster_only
    def test_the_double_dash_is_never_needed(self):
        script = self.cwd / "show.py"
        script.write_text(self.SHOW)
        for case in (["--help", "-n", "3"], ["-q"], ["--", "x"], ["--store", "y"]):
            for dashes in ([], ["--"]):
                with self.subTest(arguments=case, dashes=dashes):
                    done = subprocess.run(
                        [POSTER, "run", "-q", "--store", self.store, *dashes, sys.executable, script, *case],
                        env=self.env,
                        cwd=self.cwd,
                        stdin=subprocess.DEVNULL,
                        capture_output=True,
                        timeout=60,
                    )
                    self.assertEqual(done.stdout.decode(), f"{case}\n", done.stderr)

    @poster_only
    def test_many_and_long_arguments_pass(self):
        done = self.launch(
            *python("import sys; print(len(sys.argv) - 1, sum(map(len, sys.argv[1:])))"), *["x" * 1000] * 1000
        )
        self.assertEqual(done.stdout, b"1000 1000000\n", done.stderr)

    @poster_only
    def test_arguments_that_are_not_utf_8_pass_and_leave_a_readable_record(self):
        done = self.launch("printf", "%s", os.fsdecode(b"caf\xe9\xff"))
        self.assertEqual(done.stdout, b"caf\xe9\xff", done.stderr)
        self.assertEqual(self.run_json()["argv"][:2], ["printf", "%s"])


@poster_only
class Run(PosterTest):
    def test_name_tags_and_note_are_recorded(self):
        self.launch("true", options=["-n", "baseline", "-t", "cifar", "--tag", "v2", "--note", "first try"])
        run = self.run_json()
        self.assertEqual((run["name"], run["tags"], run["note"]), ("baseline", ["cifar", "v2"], "first try"))

    def test_run_json_describes_the_run(self):
        self.launch("sh", "-c", "true", options=["--env", "LR=0.1"])
        run = self.run_json()
        self.assertRegex(run["id"], RUN_ID)
        self.assertEqual((run["id"], run["format"], run["argv"]), (self.run_dir().name, 1, ["sh", "-c", "true"]))
        self.assertEqual(os.path.realpath(run["cwd"]), os.path.realpath(self.cwd))
        self.assertTrue(os.path.isabs(run["program"]) and os.path.exists(run["program"]), run["program"])
        self.assertEqual(run["host"], os.uname().nodename)
        self.assertIn(os.uname().release, json.dumps(run["kernel"]))
        self.assertEqual(run["environment"]["HOME"], self.env["HOME"])
        self.assertIn("LR", json.dumps(run["environment_changes"]))
        for name in ("user", "poster_version", "created_at", "zone", "command", "group", "parent"):
            self.assertIn(name, run)

    def test_dry_run_prints_the_plan_and_runs_nothing(self):
        witness = self.tmp / "witness"
        done = subprocess.run(
            [POSTER, "run", "--store", self.store, "--dry-run", "--env", "LR=0.1", "touch", witness],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (done.stdout + done.stderr).decode()
        for wanted in ("touch", str(witness), "LR=0.1", "hardware", "config"):
            self.assertIn(wanted, text)
        self.assertFalse(witness.exists())
        self.assertEqual(self.run_dirs(), [])

    def test_verbose_says_more(self):
        self.assertGreater(
            len(self.launch("true", options=["-v"], quiet=False).stderr), len(self.launch("true", quiet=False).stderr)
        )

    def test_poster_store_names_the_store(self):
        elsewhere = self.tmp / "elsewhere"
        subprocess.run(
            [POSTER, "run", "-q", "true"],
            env={**self.env, "POSTER_STORE": str(elsewhere)},
            cwd=self.cwd,
            check=True,
            timeout=60,
        )
        self.assertEqual(len(os.listdir(elsewhere / "runs")), 1)
        self.assertFalse((self.cwd / ".poster").exists())

    def test_the_store_is_the_nearest_parent_that_marks_a_project(self):
        for mark in (".git", ".poster", "poster.toml"):
            with self.subTest(mark=mark):
                root = self.tmp / f"project-{mark}"
                deep = root / "a" / "b"
                deep.mkdir(parents=True)
                (root / mark).touch() if mark == "poster.toml" else (root / mark).mkdir()
                subprocess.run(
                    [POSTER, "run", "-q", "true"],
                    env=self.env,
                    cwd=deep,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    timeout=60,
                )
                self.assertEqual(len(os.listdir(root / ".poster" / "runs")), 1)
                self.assertEqual((root / ".poster" / ".gitignore").read_text().strip(), "*")

    def test_without_a_project_the_store_is_in_the_working_directory(self):
        subprocess.run(
            [POSTER, "run", "-q", "true"], env=self.env, cwd=self.cwd, check=True, stdin=subprocess.DEVNULL, timeout=60
        )
        self.assertTrue((self.cwd / ".poster" / "runs").is_dir())

    def test_the_run_directory_is_laid_out_as_documented(self):
        self.launch("echo", "hello")
        names = {str(path.relative_to(self.run_dir())) for path in self.run_dir().rglob("*")}
        wanted = {
            "run.json",
            "attempts",
            "attempts/1",
            *(
                f"attempts/1/{name}"
                for name in ("attempt.json", "output.log", "output.idx", "events", "hooks.jsonl", "lock")
            ),
        }
        self.assertEqual(wanted - names, set())

    def test_a_run_inside_a_run_gives_two_records_and_the_inner_ends_first(self):
        done = self.launch(*self.command("sh", "-c", "echo $POSTER_RUN_ID; exit 3"))
        self.assertEqual(done.returncode, 3, done.stderr)
        first, second = self.run_dirs()
        by_length = sorted((first, second), key=lambda run: len(self.run_json(run)["argv"]))
        inner, outer = by_length
        self.assertEqual(done.stdout.decode().strip(), inner.name)
        self.assertLessEqual(self.attempt(inner)["ended_at"], self.attempt(outer)["ended_at"])


@poster_only
class Listing(PosterTest):
    def setUp(self):
        super().setUp()
        self.launch("sh", "-c", "exit 0", options=["-n", "alpha", "-t", "x"])
        self.launch("sh", "-c", "exit 3", options=["-n", "beta", "-t", "x", "-t", "y"])
        self.launch("sh", "-c", "kill -TERM $$", options=["-n", "gamma"])

    def names(self, *arguments):
        return [run["name"] for run in self.poster_json("ls", *arguments)]

    def test_ls_json_has_the_documented_fields(self):
        runs = self.poster_json("ls")
        self.assertEqual(len(runs), 3)
        for run in runs:
            self.assertEqual(LS_FIELDS - set(run), set())
            self.assertRegex(run["started_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
            self.assertTrue(os.path.isdir(run["dir"]))
        gamma, beta, alpha = runs
        self.assertEqual((alpha["status"], alpha["exit_code"], alpha["signal"]), ("finished", 0, None))
        self.assertEqual(
            (beta["status"], beta["exit_code"], beta["tags"], beta["argv"]),
            ("failed", 3, ["x", "y"], ["sh", "-c", "exit 3"]),
        )
        self.assertEqual((gamma["status"], gamma["exit_code"], gamma["signal"]), ("killed", None, "SIGTERM"))

    def test_ls_shows_the_newest_first_and_filters(self):
        cases = {
            (): ["gamma", "beta", "alpha"],
            ("--status", "failed"): ["beta"],
            ("--tag", "x"): ["beta", "alpha"],
            ("--tag", "x", "--tag", "y"): ["beta"],
            ("--name", "al*"): ["alpha"],
            ("--limit", "2"): ["gamma", "beta"],
            ("--since", "1h"): ["gamma", "beta", "alpha"],
            ("--status", "failed", "--status", "killed"): ["gamma", "beta"],
            ("--tag", "nothing"): [],
            ("--since", "2099-01-01"): [],
        }
        for arguments, wanted in cases.items():
            with self.subTest(arguments=arguments):
                self.assertEqual(self.names(*arguments), wanted)

    def test_ls_prints_a_table_without_colour_that_names_each_run(self):
        text = self.poster("ls", check=0).stdout.decode()
        self.assertNotIn("\x1b", text)
        for word in ("alpha", "beta", "gamma", "finished", "failed", "killed"):
            self.assertIn(word, text)

    def test_tables_fit_the_terminal_and_colour_is_for_terminals_only(self):
        self.launch("echo", "a long command line " * 20)
        for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            with self.subTest(extra=extra):
                terminal = self.terminal(
                    POSTER, "ls", "--store", str(self.store), raw_argv=True, env={**self.env, **extra}, columns=70
                )
                self.assertEqual(terminal.wait(), 0)
                self.assertEqual(b"\x1b[" in terminal.output, coloured)
                for line in re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.output).decode().split("\r\n"):
                    self.assertLessEqual(len(line), 70, line)

    def test_show_json_is_run_json_with_its_attempts(self):
        shown = self.poster_json("show", "beta")
        run_dir = next(run for run in self.run_dirs() if run.name == shown["id"])
        for name, value in self.run_json(run_dir).items():
            self.assertEqual(shown[name], value, name)
        self.assertEqual([attempt["exit_code"] for attempt in shown["attempts"]], [3])

    def test_a_run_is_named_by_id_prefix_suffix_name_or_last(self):
        runs = self.poster_json("ls")
        beta = runs[1]["id"]
        for word, wanted in {
            beta: "beta",
            "beta": "beta",
            beta[-4:]: "beta",
            "last": "gamma",
            "last~1": "beta",
            "last~2": "alpha",
        }.items():
            with self.subTest(word=word):
                self.assertEqual(self.poster_json("show", word)["name"], wanted)

    def test_an_ambiguous_prefix_names_the_candidates(self):
        done = self.poster("show", "20")
        self.assertEqual(done.returncode, 2)
        self.assertGreaterEqual(sum(run.name.encode() in done.stderr for run in self.run_dirs()), 2)

    def test_a_store_that_is_not_there_shows_nothing_and_is_not_made(self):
        self.store = self.tmp / "empty"
        self.assertIn(self.poster("show", "last").returncode, (1, 2))
        self.assertEqual(self.poster_json("ls"), [])
        self.assertFalse(self.store.exists(), "looking at a store that is not there has created it")

    def test_reindex_brings_everything_back(self):
        before = self.poster_json("ls")
        self.poster("reindex", check=0)
        self.assertEqual(self.poster_json("ls"), before)

    def test_a_running_run_is_listed_as_running_and_then_as_ended(self):
        process = self.start("sleep", "1000", options=["-n", "delta"])
        wait_until(lambda: self.names("--status", "running") == ["delta"])
        running = self.poster_json("ls", "--status", "running")[0]
        self.assertEqual((running["ended_at"], running["exit_code"]), (None, None))
        process.terminate()
        process.wait(60)
        self.assertEqual(
            (self.names("--status", "running"), self.names("--status", "killed")), ([], ["delta", "gamma"])
        )


@poster_only
class Logs(PosterTest):
    def logs(self, *arguments):
        return self.poster("logs", *arguments, check=0).stdout

    def test_logs_prints_what_the_child_wrote(self):
        self.launch("sh", "-c", "echo one; echo two >&2; echo three")
        self.assertEqual(sorted(self.logs("last").split()), [b"one", b"three", b"two"])

    def test_logs_tells_the_streams_apart(self):
        self.launch("sh", "-c", "echo out; echo err >&2")
        self.assertEqual((self.logs("last", "--stdout"), self.logs("last", "--stderr")), (b"out\n", b"err\n"))

    def test_progress_bars_are_folded_to_what_a_terminal_would_show_at_the_end(self):
        cases = {
            r"10%%\r50%%\r100%%\n": b"100%\n",
            r"a long line\rshort\n": b"shortg line\n",
            r"downloading\r\033[Kdone\n": b"done\n",
            r"abc\b\bX\n": b"aXc\n",
            r"one\ntwo\033[1A\rONE\n\n": b"ONE\ntwo\n",
            r"windows\r\n": b"windows\n",
        }
        for written, wanted in cases.items():
            with self.subTest(written=written):
                self.launch("printf", written)
                self.assertEqual(self.logs("last"), wanted)

    def test_raw_gives_the_bytes(self):
        self.launch("printf", r"10%%\r100%%\n\377\000x")
        self.assertEqual(self.logs("--raw", "last"), b"10%\r100%\n\xff\0x")

    def test_timestamps_stand_before_each_line(self):
        self.launch("sh", "-c", "echo one; echo two")
        for line, word in zip(self.logs("--timestamps", "last").decode().splitlines(), ("one", "two"), strict=True):
            self.assertRegex(line, rf"\d\d:\d\d:\d\d.*{word}$")

    def test_follow_shows_lines_as_they_come_and_ends_with_the_run(self):
        process = self.start("sh", "-c", "echo one; read x; echo two; read y", stdin=subprocess.PIPE)
        self.child_pid()
        follower = self.start_poster("logs", "-f", "last", stdout=subprocess.PIPE)
        self.assertEqual(follower.stdout.readline(), b"one\n")
        process.stdin.write(b"\n")
        process.stdin.flush()
        self.assertEqual(follower.stdout.readline(), b"two\n")
        self.assertIsNone(follower.poll())
        process.stdin.close()
        process.wait(60)
        self.assertEqual(follower.stdout.read(), b"")
        self.assertEqual(follower.wait(60), 0)

    def test_logs_of_an_attempt_that_is_not_there_is_an_error(self):
        self.launch("true")
        self.assertEqual(self.poster("logs", "last", "--attempt", "7").returncode, 2)

    def test_a_reader_of_logs_that_goes_away_is_no_error_worth_words(self):
        self.launch(*python("print('line\\n' * 300000)"))
        done = subprocess.run(
            ["bash", "-c", f"{POSTER} logs --store {self.store} last | head -1"],
            env=self.env,
            capture_output=True,
            timeout=60,
        )
        self.assertEqual((done.stdout, done.stderr), (b"line\n", b""))


@poster_only
class Settings(PosterTest):
    def test_callbacks_are_listed_with_on_or_off_and_the_reason(self):
        listed = {entry["name"]: entry for entry in self.poster_json("callbacks")}
        for name in ("config", "local_directory", "logging", "hardware"):
            self.assertIn(name, listed)
            self.assertIn(name.encode(), self.poster("callbacks", check=0).stdout)

    def test_a_callback_can_be_turned_off_in_poster_toml(self):
        (self.cwd / "poster.toml").write_text("[hardware]\nenabled = false\n")
        self.launch("true")
        self.assertFalse((self.attempt_dir() / "hardware.jsonl").exists())

    def test_config_prints_every_value_with_its_place_and_the_later_place_wins(self):
        """The places in their order: the project's poster.toml, the user's config.toml, POSTER_* variables."""
        (self.cwd / "poster.toml").write_text('[run]\ngrace = "33s"\n')
        self.assertRegex(self.config(), r"run\.grace.*33s.*poster\.toml")
        config_home = self.tmp / "home" / ".config" / "poster"
        config_home.mkdir(parents=True)
        (config_home / "config.toml").write_text('[run]\ngrace = "44s"\n')
        self.assertRegex(self.config(), r"run\.grace.*44s.*config\.toml")
        self.env["POSTER_RUN_GRACE"] = "55s"
        self.assertRegex(self.config(), r"run\.grace.*55s.*POSTER_RUN_GRACE")

    def config(self):
        return self.poster("config", store=False, check=0).stdout.decode()

    def test_an_unknown_key_is_an_error_that_suggests_the_right_one_and_starts_nothing(self):
        (self.cwd / "poster.toml").write_text('[run]\ngrcae = "5s"\n')
        witness = self.tmp / "witness"
        done = self.launch("touch", witness)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr.decode(), r"(?s)grcae.*did you mean.*grace")
        self.assertFalse(witness.exists() or self.run_dirs())

    def test_a_broken_poster_toml_is_an_error_with_file_and_line(self):
        (self.cwd / "poster.toml").write_text("[run]\ngrace = \n")
        done = self.launch("true")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr.decode(), r"poster\.toml:?.*2")


if __name__ == "__main__":
    main()
