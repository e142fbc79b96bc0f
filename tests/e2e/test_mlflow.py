"""What the child logs to a file store of MLflow becomes metrics and parameters of the run."""

import textwrap

from harness import VENV_PYTHON, PosterTest, json_lines, main, needs_venv, poster_only, wait_until


@poster_only
@needs_venv
class Mlflow(PosterTest):
    def setUp(self):
        super().setUp()
        self.env |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_TRACKING_URI": "file:./mlruns"}

    def script(self, text):
        path = self.cwd / "train.py"
        path.write_text("import sys, mlflow\n" + textwrap.dedent(text))
        return [VENV_PYTHON, str(path)]

    def events(self, kind, number=1):
        folder = self.attempt_dir(number=number) / "events"
        lines = [line for file in folder.glob("*.mlflow.jsonl") for line in json_lines(file)]
        return [line for line in lines if line["kind"] == kind]

    def points(self, name, number=1):
        return [(e["step"], e["values"][name]) for e in self.events("metric", number) if name in e["values"]]

    def test_metrics_and_parameters_are_read(self):
        script = """
            with mlflow.start_run():
                mlflow.log_params({"lr": 0.1, "layers": 3, "name": "x", "flag": True})
                for i in range(20):
                    mlflow.log_metric("loss", i / 4, step=i)
                mlflow.log_metric("val/odd", float("nan"), step=1)
        """
        self.assertEqual(self.launch(*self.script(script)).returncode, 0)
        self.assertEqual(self.points("loss"), [(i, i / 4) for i in range(20)])
        self.assertEqual(self.points("val/odd"), [(1, "NaN")])
        config = {}
        for event in self.events("config"):
            config |= event["values"]
        self.assertEqual(config, {"lr": 0.1, "layers": 3, "name": "x", "flag": True})
        (run,) = self.run_json()["mlflow"]["runs"]
        self.assertEqual(len(run["run_id"]), 32)

    def test_a_file_that_is_kept_open_is_read_while_it_is(self):
        script = (
            "mkdir -p mlruns/0/r/metrics; echo 'run_id: r' > mlruns/0/r/meta.yaml; exec 3>> mlruns/0/r/metrics/loss\n"
            "echo $(date +%s%3N) 1.5 1 >&3; while [ ! -e go ]; do sleep 0.01; done"
        )
        process = self.start("sh", "-c", script)
        self.child_pid()
        wait_until(lambda: self.points("loss"), what="the first point")
        (self.cwd / "go").touch()
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(self.points("loss"), [(1, 1.5)])

    def test_a_steered_run_that_is_continued_is_one_run_of_mlflow(self):
        script = """
            mlflow.set_experiment("mine")
            with mlflow.start_run() as run:
                mlflow.log_metric("loss", 1, step=1)
                print(run.info.run_id)
            sys.exit(3)
        """
        self.env["POSTER_MLFLOW_STEER"] = "true"
        self.launch(*self.script(script))
        self.poster("continue", "-q", "last")
        first, second = (self.attempt_dir(number=n).joinpath("output.log").read_text().split()[-1] for n in (1, 2))
        self.assertEqual(first, second)
        self.assertEqual([self.points("loss", n) for n in (1, 2)], [[(1, 1)], [(1, 1)]])


if __name__ == "__main__":
    main()
