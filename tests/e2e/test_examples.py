"""The examples, with and without poster."""

import json
import signal
import subprocess
import sys

from harness import BARE, HERE, PosterTest, main, poster_only, wait_until

EXAMPLES = HERE.parent.parent / "examples"
TRAIN = [sys.executable, str(EXAMPLES / "train.py"), "--points", "60"]


class Examples(PosterTest):
    def train(self, *options):
        done = subprocess.run(
            [*TRAIN, "--checkpoint", str(self.tmp / "checkpoint.json"), *options],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout.splitlines()

    def test_a_resumed_training_ends_with_the_same_loss_as_an_uninterrupted_one(self):
        whole = self.train("--epochs", "6")
        self.train("--epochs", "2")
        resumed = self.train("--epochs", "6", "--resume")
        self.assertEqual(resumed[0], "resumed after epoch 2")
        self.assertEqual(resumed[1:], whole[2:])

    @poster_only
    def test_a_training_that_is_told_to_stop_writes_its_checkpoint_into_the_run(self):
        process = self.start(*TRAIN, "--epochs", "100000", grace="20s")
        wait_until(lambda: "epoch   2" in self.log_so_far())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 143)
        checkpoint = json.loads((self.run_dir() / "files" / "checkpoint.json").read_text())
        self.assertIn(f"checkpoint of epoch {checkpoint['epoch']} is written", self.log().decode())
        self.assertEqual(self.attempt()["status"], "killed")

    @poster_only
    def test_its_parameters_are_captured(self):
        self.launch(*TRAIN, "--epochs", "1", "--lr", "0.25")
        config = self.run_json()["config"]
        self.assertEqual(config["source"], "argparse")
        self.assertEqual(sorted(config["given"]), ["epochs", "lr", "points"])
        self.assertEqual(config["values"].pop("checkpoint"), str(self.run_dir() / "files" / "checkpoint.json"))
        self.assertEqual(
            config["values"], {"points": 60, "epochs": 1, "lr": 0.25, "hidden": 32, "seed": 0, "resume": False}
        )

    def test_the_shell_script_runs_each_seed(self):
        done = self.launch(str(EXAMPLES / "evaluate.sh"), "1")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"seed 1\n", done.stdout)

    def test_the_signal_handler_ends_well(self):
        process = self.start(sys.executable, str(EXAMPLES / "signals.py"), stdout=subprocess.PIPE, grace="20s")
        self.assertEqual(process.stdout.readline(), b"waiting for signals\n")
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.stdout.readline(), b"got SIGUSR1\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0)
        if not BARE:
            self.assertEqual(self.attempt()["status"], "killed")

    def log_so_far(self):
        dirs = self.run_dirs()
        log = dirs[0] / "attempts" / "1" / "output.log" if dirs else None
        return log.read_text() if log and log.exists() else ""


if __name__ == "__main__":
    main()
