"""What the child logs to Weights & Biases, offline, becomes metrics of the run; its end loses nothing of it."""

import signal
import textwrap

from harness import VENV_PYTHON, PosterTest, json_lines, main, needs_venv, poster_only, wait_until


@poster_only
@needs_venv
class Wandb(PosterTest):
    def setUp(self):
        super().setUp()
        self.env |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}

    def script(self, text):
        path = self.cwd / "train.py"
        path.write_text("import sys, time, wandb\n" + textwrap.dedent(text))
        return [VENV_PYTHON, str(path)]

    def events(self, kind, number=1):
        folder = self.attempt_dir(number=number) / "events"
        lines = [line for file in folder.glob("*.wandb.jsonl") for line in json_lines(file)]
        return [line for line in lines if line["kind"] == kind]

    def points(self, name, number=1):
        return [(e["step"], e["values"][name]) for e in self.events("metric", number) if name in e["values"]]

    def test_metrics_parameters_summary_and_images_of_an_offline_run_are_read(self):
        script = """
            import numpy
            run = wandb.init(project="p", name="n", config={"lr": 0.1, "model": {"width": 8}, "api_key": "hidden"})
            for i in range(500):
                run.log({"loss": 1 / (i + 1), "nested": {"a": i}, "odd": float("nan"), "text": "x"})
            run.log({"picture": wandb.Image(numpy.zeros((4, 6, 3), dtype=numpy.uint8))})
            run.summary["best"] = 0.125
            run.finish()
        """
        self.assertEqual(self.launch(*self.script(script)).returncode, 0)
        self.assertEqual(self.points("loss"), [(i, 1 / (i + 1)) for i in range(500)])
        self.assertEqual(self.points("nested.a")[7], (7, 7))
        self.assertEqual(self.points("odd")[0], (0, "NaN"))
        config = {}
        for event in self.events("config"):
            config |= event["values"]
        self.assertEqual((config["lr"], config["model"], config["api_key"]), (0.1, {"width": 8}, "<redacted>"))
        (summary,) = self.events("summary")
        self.assertEqual(summary["values"]["best"], 0.125)
        (image,) = self.events("image")
        self.assertEqual((image["step"], image["width"], image["height"]), (500, 6, 4))
        self.assertTrue((self.run_dir() / image["path"]).is_file())
        (run,) = self.run_json()["wandb"]["runs"]
        self.assertEqual((run["project"], run["name"], run["exit_code"]), ("p", "n", 0))

    def test_sigterm_in_the_middle_loses_nothing_since_the_interrupt_comes_first(self):
        script = """
            run = wandb.init(project="p")
            i = 0
            while True:
                run.log({"loss": i})
                print(i, flush=True)
                i += 1
                time.sleep(0.002)
        """
        process = self.start(*self.script(script), grace="30s")
        self.child_pid()
        wait_until(lambda: b"\n300\n" in self.log(), what="some steps")
        wait_until(lambda: self.points("loss") or self.run_json().get("wandb"), what="the use of wandb being seen")
        process.send_signal(signal.SIGTERM)
        process.wait()
        logged = [int(line) for line in self.log().split() if line.isdigit()]
        self.assertEqual([step for step, _ in self.points("loss")][: len(logged)], logged)
        outcome = self.outcome()
        self.assertEqual((outcome["status"], outcome["received_signal"]), ("killed", "SIGTERM"))
        self.assertIn("SIGTERM", outcome["reason"])
        self.assertLess(outcome["duration_s"], 25)

    def test_a_steered_run_that_is_continued_is_one_run_of_wandb_in_two_segments(self):
        script = """
            run = wandb.init(project="p")
            run.log({"loss": 1})
            run.finish()
            sys.exit(3)
        """
        self.env["POSTER_WANDB_STEER"] = "true"
        self.launch(*self.script(script), options=["--name", "base", "--tag", "x" * 80])
        self.poster("continue", "-q", "last")
        logs = sorted((self.run_dir() / "wandb").glob("offline-*/*.wandb"))
        self.assertEqual([log.name for log in logs], [f"run-{self.run_dir().name}.wandb"] * 2)
        self.assertEqual([len(self.points("loss", number)) for number in (1, 2)], [1, 1])
        (run,) = self.run_json()["wandb"]["runs"]
        self.assertEqual((run["id"], run["name"]), (self.run_dir().name, "base"))


@poster_only
class Steering(PosterTest):
    def variables(self):
        names = ("WANDB_", "MLFLOW_")
        return dict(line.split("=", 1) for line in self.log().decode().splitlines() if line.startswith(names))

    def test_nothing_is_set_unless_it_is_asked_for(self):
        self.launch("env")
        self.assertEqual(self.variables(), {})

    def test_variables_are_set_where_the_user_has_not(self):
        self.env |= {"POSTER_WANDB_STEER": "true", "WANDB_NAME": "mine"}
        self.launch("env", options=["--name", "base", "--tag", "a,b", "--tag", "y" * 80, "--env", "WANDB_RESUME=must"])
        found = self.variables()
        tags = found.pop("WANDB_TAGS").split(",")
        self.assertEqual((tags[0], len(tags[1])), ("a b", 64))
        expected = {"WANDB_DIR": str(self.run_dir()), "WANDB_RUN_ID": self.run_dir().name}
        self.assertEqual(found, {**expected, "WANDB_NAME": "mine", "WANDB_RESUME": "must"})

    def test_the_mode_is_set_only_when_it_is_asked_for(self):
        self.env |= {"POSTER_WANDB_STEER": "true", "POSTER_WANDB_MODE": "offline"}
        self.launch("env")
        self.assertEqual(self.variables()["WANDB_MODE"], "offline")

    def test_a_rerun_has_an_id_of_its_own(self):
        self.env["POSTER_WANDB_STEER"] = "true"
        self.launch("env")
        self.poster("rerun", "-q", "last", check=0)
        ids = {run.name: self.log(run).decode() for run in self.run_dirs()}
        self.assertEqual(len(ids), 2)
        for name, text in ids.items():
            self.assertIn(f"WANDB_RUN_ID={name}\n", text)

    def test_a_run_within_a_run_has_an_id_of_its_own(self):
        self.env["POSTER_WANDB_STEER"] = "true"
        self.launch(*self.command("env"))
        for run in self.run_dirs():  # the outer one has the output of the inner one, too
            variables = dict(line.split("=", 1) for line in self.log(run).decode().splitlines() if "=" in line)
            self.assertEqual(variables["WANDB_RUN_ID"], variables["POSTER_RUN_ID"])


if __name__ == "__main__":
    main()
