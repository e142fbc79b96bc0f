"""poster as PID 1 of a container: it reaps, forwards, and ends everything with itself."""

import os
import signal
import subprocess
import unittest

from harness import PosterTest, children_of, main, poster_only, python, read_lines, wait_until

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def unshare_works():
    try:
        return (
            subprocess.run(
                [*UNSHARE, "true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ).returncode
            == 0
        )
    except FileNotFoundError:
        return False


@poster_only
@unittest.skipUnless(unshare_works(), "may not make a PID namespace here (unshare --pid)")
class Pid1(PosterTest):
    def init(self, namespace):
        """PID 1 of the namespace, as seen from outside."""
        return wait_until(lambda: children_of(namespace.pid))[0]

    def test_exit_codes_pass(self):
        for code in (0, 3, 255):
            with self.subTest(code=code):
                self.assertEqual(self.launch("sh", "-c", f"exit {code}", wrapper=UNSHARE).returncode, code)

    def test_a_signal_death_becomes_128_plus_n_as_pid_1_cannot_die_of_a_signal(self):
        for name in ("TERM", "INT", "KILL", "USR1"):
            with self.subTest(signal=name):
                done = self.launch("sh", "-c", f"kill -{name} $$", wrapper=UNSHARE)
                self.assertEqual(done.returncode, 128 + getattr(signal, "SIG" + name), done.stderr)

    def test_orphans_are_reaped(self):
        code = (
            "import os, subprocess, time\n"
            "subprocess.run(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9 10; do (setsid true &) ; done'])\n"
            "def zombies():\n"
            "    states = []\n"
            "    for name in os.listdir('/proc'):\n"
            "        if name.isdigit():\n"
            "            try: states.append(open(f'/proc/{name}/stat').read().rpartition(')')[2].split()[0])\n"
            "            except OSError: pass\n"
            "    return states.count('Z')\n"
            "deadline = time.monotonic() + 20\n"
            "while (left := zombies()) and time.monotonic() < deadline: time.sleep(0.01)\n"
            "print('zombies', left)"
        )
        done = self.launch(*python(code), wrapper=UNSHARE)
        self.assertEqual(done.stdout, b"zombies 0\n", done.stderr)

    def test_sigterm_from_outside_is_forwarded_and_ends_the_container(self):
        record = self.tmp / "up"
        namespace = self.start(
            "sh",
            "-c",
            f"trap 'echo got TERM >> {record}; exit 9' TERM; echo up > {record}; while :; do sleep 0.05; done",
            wrapper=UNSHARE,
        )
        self.wait_for(record, b"up")
        os.kill(self.init(namespace), signal.SIGTERM)
        self.assertEqual(namespace.wait(60), 9)
        self.assertEqual(read_lines(record), ["up", "got TERM"])

    def test_the_outcome_is_recorded(self):
        record = self.tmp / "up"
        namespace = self.start("sh", "-c", f"echo up > {record}; exec sleep 1000", wrapper=UNSHARE)
        self.wait_for(record, b"up")
        self.child_pid()
        os.kill(self.init(namespace), signal.SIGTERM)
        self.assertEqual(namespace.wait(60), 143)
        attempt = self.outcome()
        self.assertEqual((attempt["status"], attempt["signal"]), ("killed", "SIGTERM"))


if __name__ == "__main__":
    main()
