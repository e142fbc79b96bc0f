"""A run is taken up again: the same directory, the next attempt."""

import json
import os
import pathlib
import re
import signal

from harness import PosterTest, children_of, main, poster_only, python, read_bytes, wait_until

TRAIN = pathlib.Path(__file__).resolve().parents[2] / "examples" / "train.py"


@poster_only
class Continue(PosterTest):
    # Fails as long as the file `good` is not there.
    TRY = "import os, sys; print(os.environ['POSTER_ATTEMPT'], os.environ.get('POSTER_RESUMED'), sys.argv[1:]); sys.exit(not os.path.exists('good'))"

    def go_on(self, *words, check=0, **options):
        done = self.poster("continue", *words, **options)
        self.assertEqual(done.returncode, check, done.stderr)
        return done

    def attempts(self, run=None):
        return sorted(entry.name for entry in ((run or self.run_dir()) / "attempts").iterdir())

    def test_it_is_the_same_run_with_one_more_attempt(self):
        self.launch(*python(self.TRY), "a")
        (self.cwd / "good").touch()
        self.assertEqual(self.go_on("last").stdout, b"2 1 ['a']\n")
        self.assertEqual(self.attempts(), ["1", "2"])
        self.assertEqual(self.attempt(number=1)["status"], "failed")
        self.assertEqual(self.attempt(number=2)["status"], "finished")
        [row] = self.poster_json("ls")
        self.assertEqual((row["status"], row["attempt"]), ("finished", 2))
        self.assertEqual(self.poster("logs", "last", "--attempt", "1", check=0).stdout, b"1 None ['a']\n")
        self.assertEqual(self.poster("logs", "last", check=0).stdout, b"2 1 ['a']\n")
        self.assertEqual(len(self.poster_json("show", "last")["attempts"]), 2)

    def test_words_and_the_setting_are_added(self):
        (self.cwd / "poster.toml").write_text('[continue]\nappend = ["--resume", "{run_dir}/files/x", "n={attempt}"]\n')
        self.launch(*python(self.TRY), "n=0")
        (self.cwd / "good").touch()
        seen = self.go_on("last", "--", "--more").stdout.decode()
        self.assertEqual(seen, f"2 1 ['n=2', '--resume', '{self.run_dir()}/files/x', '--more']\n")
        self.assertEqual(self.run_json()["argv"][-1], "n=0")
        self.assertEqual(self.attempt(number=2)["argv"][-1], "--more")

    def test_a_finished_run_is_refused_unless_forced(self):
        self.launch("true")
        self.assertIn("has finished", self.go_on("last", check=125).stderr.decode())
        self.assertEqual(self.attempts(), ["1"])
        self.go_on("last", "--force")
        self.assertEqual(self.attempts(), ["1", "2"])

    def test_a_running_one_is_refused(self):
        self.start("sleep", "1000")
        self.child_pid()
        for force in ([], ["--force"]):
            self.assertIn("still running", self.go_on("last", *force, check=125).stderr.decode())
        self.assertEqual(self.attempts(), ["1"])

    def test_one_that_another_host_may_be_running_is_refused_unless_forced(self):
        self.launch("false")
        record = self.attempt()
        for key in ("ended_at", "reason", "exit_code", "duration_s"):
            record.pop(key)
        record |= {"status": "running", "host": "elsewhere", "boot_id": "x"}
        (self.attempt_dir() / "attempt.json").write_text(json.dumps(record))
        shared = {**self.env, "POSTER_ASSUME_SHARED": "1"}
        self.assertIn("elsewhere", self.go_on("last", check=125, env=shared).stderr.decode())
        self.go_on("last", "--force", check=1, env=shared)

    def test_ten_at_once_make_one_attempt(self):
        self.launch(*python(self.TRY))
        run = self.run_dir().name
        (self.cwd / "good").touch()
        posters = [self.start_poster("continue", "-q", run) for _ in range(10)]
        codes = [process.wait(60) for process in posters]
        numbers = self.attempts()
        self.assertEqual(len(numbers) - 1, codes.count(0), (codes, numbers))
        for number in numbers:
            self.assertIn("reason", self.attempt(number=int(number)))

    def test_the_last_that_failed(self):
        self.launch("true")
        self.assertIn("no run has failed", self.go_on("--last-failed", check=125).stderr.decode())
        self.launch(*python(self.TRY))
        self.launch("true")
        (self.cwd / "good").touch()
        self.assertEqual(self.go_on("--last-failed").stdout, b"2 1 []\n")

    def test_what_is_left_of_a_multirun(self):
        self.launch("true", "\\", *python(self.TRY), "a", "\\", *python(self.TRY), "b")
        group = self.poster_json("ls")[0]["group"]
        (self.cwd / "good").touch()
        self.assertEqual(self.go_on("--group", group).stdout, b"2 1 ['a']\n2 1 ['b']\n")
        self.assertEqual({row["status"] for row in self.poster_json("ls")}, {"finished"})
        self.assertIn(group, self.go_on("--group", group, check=125).stderr.decode())

    def test_runs_and_ways_to_choose_them_exclude_each_other(self):
        self.go_on("last", "--last-failed", check=2)
        self.go_on("--group", "x", "--last-failed", check=2)

    def test_files_and_the_code_of_another_attempt_may_differ(self):
        (self.cwd / "a.txt").write_text("1\n")
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            self.git(*words)
        (self.cwd / "a.txt").write_text("2\n")
        self.launch("false")
        (self.cwd / "a.txt").write_text("3\n")
        self.go_on("last", check=1)
        run = self.run_json()
        self.assertIn(b"+2", (self.run_dir() / "code" / "diff.patch").read_bytes())
        self.assertIn(b"+3", (self.attempt_dir(number=2) / "code" / "diff.patch").read_bytes())
        self.assertEqual(list(run["code_attempts"]), ["2"])


@poster_only
class AfterAKill(PosterTest):
    EPOCHS = "150"  # far more than are waited for: the last kill must come before the end, on a busy machine too

    def losses(self, text):
        return re.findall(r"epoch +(\d+) +loss ([\d.]+)", text.decode())

    def command_line(self):
        return ["python3", "-S", "-E", str(TRAIN), "--epochs", self.EPOCHS, "--points", "600", "--hidden", "8"]

    def kill_all(self):
        """kill -9 of supervisor, host and child, at some moment of the training."""
        attempt = self.attempt(number=self.number)
        victims = [attempt["pid"], *children_of(attempt["pid"])]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                pass
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.assert_gone(*victims)

    def wait_for_epochs(self, count):
        """Of this attempt; which ones they are depends on how far the attempt before came."""
        wait_until(lambda: self.run_dirs())
        log = self.attempt_dir(number=self.number) / "output.log"
        wait_until(lambda: len(self.losses(read_bytes(log))) >= count, what=f"{count} epochs in {log.name}")

    def test_the_loss_is_that_of_an_uninterrupted_training(self):
        whole = self.losses(self.launch(*self.command_line()).stdout)
        self.fresh_store()
        self.number = 1
        process = self.start(*self.command_line())
        self.wait_for_epochs(2)
        self.kill_all()
        process.wait()
        done = self.poster("continue", "last", check=0)
        self.assertEqual(self.losses(done.stdout)[-1], whole[-1])
        self.assertEqual(self.attempt(number=1)["status"], "lost")
        self.assertEqual(self.attempt(number=2)["status"], "finished")

    def test_three_kills_in_a_row_are_one_run_of_four_attempts(self):
        whole = self.losses(self.launch(*self.command_line()).stdout)
        self.fresh_store()
        self.number = 1
        process = self.start(*self.command_line())
        for number in (2, 3, 4):
            self.wait_for_epochs(2)
            self.kill_all()
            process.wait()
            self.number = number
            if number < 4:
                process = self.start_poster("continue", "-q", "last")
                wait_until(lambda: (self.attempt_dir(number=number) / "attempt.json").exists())
        done = self.poster("continue", "last", check=0)
        self.assertEqual(self.losses(done.stdout)[-1], whole[-1])
        [row] = self.poster_json("ls")
        self.assertEqual((row["status"], row["attempt"]), ("finished", 4))
        statuses = [self.attempt(number=n)["status"] for n in (1, 2, 3, 4)]
        self.assertEqual(statuses, ["lost", "lost", "lost", "finished"])


if __name__ == "__main__":
    main()
