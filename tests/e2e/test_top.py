"""The live view, in a real tmux; and one look where there is no terminal."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess

from harness import POSTER, PosterTest, children_of, main, needs_program, poster_only, wait_until

MODES = r"[0-9a-f]+(?::[0-9a-f]+){20,}"  # as `stty -g` tells them
SPEAK = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"


@poster_only
class OneLook(PosterTest):
    def test_it_tells_what_runs(self):
        self.start("sh", "-c", SPEAK, options=["-n", "speaker"])
        self.wait_for_log(b"line 3")
        [row] = json.loads(self.poster("top", "--json", check=0).stdout)
        self.assertEqual((row["name"], row["status"]), ("speaker", "running"))
        self.assertRegex(row["last_line"], r"^line \d+$")
        self.assertGreater(row["memory_bytes"], 0)
        self.assertIsNotNone(row["cpu_percent"])
        self.assertRegex(self.poster("top", check=0).stdout.decode(), r"(?m)^speaker +running .* line \d+$")

    def wait_for_log(self, words):
        self.child_pid()
        self.wait_for(self.attempt_dir() / "output.log", words)

    def test_without_a_store_it_says_so(self):
        done = self.poster("top", "--json", check=0)
        self.assertEqual(json.loads(done.stdout), [])
        self.assertIn("no store", done.stderr.decode())


@poster_only
@needs_program("tmux")
class Live(PosterTest):
    def setUp(self):
        super().setUp()
        self.socket = str(self.tmp / "tmux")
        self.addCleanup(self.tmux, "kill-server", check=False)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", "100", "-y", "20", "sh")
        self.tmux("send-keys", "PS1=; stty -g; echo shell 'ready'", "Enter")
        self.shows(r"shell ready\n")
        self.modes = set(re.findall(MODES, self.screen()))

    def tmux(self, *words, check=True):
        env = {name: value for name, value in self.env.items() if name != "TMUX"}
        done = subprocess.run(["tmux", "-S", self.socket, *words], env=env, cwd=self.cwd, capture_output=True)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "t")

    def shows(self, pattern):
        try:
            return wait_until(lambda: re.search(pattern, self.screen()))
        except AssertionError:
            raise AssertionError(f"{pattern!r} is not on the screen:\n{self.screen()}") from None

    def open(self, *options):
        words = shlex.join([POSTER, "top", "--store", str(self.store), "--interval", "100ms", *options])
        self.tmux("send-keys", f"clear; {words}; echo left with $?; stty -g", "Enter")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def speaker(self, name):
        process = self.start("sh", "-c", SPEAK, options=["-n", name])
        wait_until(lambda: any(row["name"] == name for row in self.poster_json("ls", "--status", "running")))
        return process

    def assert_restored(self, status="0"):
        self.shows(f"left with {status}\n[0-9a-f]+:")
        self.assertEqual(set(re.findall(MODES, self.screen())), self.modes)
        self.assertEqual(self.tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag}").strip(), "0 1")

    def test_it_shows_a_run_with_its_last_line_and_that_it_has_ended(self):
        process = self.speaker("one")
        self.open()
        self.shows(r"1 running, 0 queued")
        first = int(self.shows(r"one +running .* line (\d+)").group(1))
        wait_until(lambda: int(self.shows(r"one +running .* line (\d+)").group(1)) > first)
        process.terminate()
        self.shows("no run is running")
        self.keys("a")
        self.shows(r"one +killed")
        self.keys("q")
        self.assert_restored()

    def test_enter_shows_the_log_and_q_goes_back(self):
        self.speaker("one")
        self.open()
        self.shows("one +running")
        self.keys("Enter")
        self.shows(r"line [3-9]\d\n.*scroll")
        self.keys("k", "k")
        top = self.shows(r"line (\d+)(?s:.*)lines further down").group(1)
        self.shows(r"[1-9]\d+ lines further down")  # it grows, and what is shown stays
        self.assertEqual(self.shows(r"line (\d+)(?s:.*)lines further down").group(1), top)
        self.keys("q")
        self.shows("one +running")
        self.keys("q")
        self.assert_restored()

    def test_s_and_y_stop_the_selected_run(self):
        self.speaker("one")
        self.speaker("two")
        self.open()
        self.shows("one +running")
        self.keys("j")  # the older one, below
        self.keys("s")
        self.shows(r"stop one\? y/n")
        self.keys("n")
        self.shows("j/k move")
        self.keys("s")
        self.shows(r"stop one\? y/n")
        self.keys("y")
        self.shows(r"1 running, 0 queued")
        self.assertEqual([row["name"] for row in self.poster_json("ls", "--status", "running")], ["two"])
        self.keys("q")
        self.assert_restored()

    def test_it_follows_the_size_of_the_terminal(self):
        self.speaker("one")
        self.open()
        self.shows("LAST LINE")
        self.tmux("resize-window", "-t", "t", "-x", "40", "-y", "8")
        self.shows(r"\n.*j/k move.*\s*$")
        self.assertNotIn("LAST LINE", self.screen())
        self.tmux("resize-window", "-t", "t", "-x", "120", "-y", "30")
        self.shows("LAST LINE")
        self.keys("q")
        self.assert_restored()

    def test_a_signal_leaves_the_terminal_as_it_was(self):
        self.speaker("one")
        for key_or_signal, status in (("C-c", "0"), (signal.SIGTERM, "143")):
            with self.subTest(end=key_or_signal):
                self.open()
                self.shows("one +running")
                if isinstance(key_or_signal, str):
                    self.keys(key_or_signal)
                else:
                    pane = int(self.tmux("display-message", "-p", "-t", "t", "#{pane_pid}"))
                    [top] = children_of(pane)
                    os.kill(top, key_or_signal)
                self.assert_restored(status)

    def test_a_run_that_vanishes_does_not_break_it(self):
        process = self.speaker("one")
        self.open()
        self.shows("one +running")
        self.keys("Enter")
        self.shows(r"scroll")
        process.terminate()
        process.wait(60)
        shutil.rmtree(self.run_dir())
        self.keys("q")
        self.shows("no run is running")
        self.keys("q")
        self.assert_restored()


if __name__ == "__main__":
    main()
