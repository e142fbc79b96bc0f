"""What the capture hook takes for the program and its parameters: variants, processes, details of Hydra."""

import subprocess
import sys

from harness import VENV_PYTHON, main, needs_venv, poster_only
from hooked import HookTest

# What is run, its words, and what each event says: command, values, given.
VARIANTS = [
    (
        "a chain of click commands",
        "import click\n@click.group(chain=True)\n@click.option('--seed', default=1)\ndef main(seed): pass\n"
        "@main.command()\n@click.option('--n', default=2)\ndef one(n): pass\n"
        "@main.command()\n@click.argument('x')\ndef two(x): pass\nmain()",
        ["one", "--n", "3", "two", "y", "one"],
        [
            ("app.py", {"seed": 1}, []),
            ("app.py one", {"n": 3}, ["n"]),
            ("app.py two", {"x": "y"}, ["x"]),
            ("app.py one", {"n": 2}, []),
        ],
    ),
    (
        "a command that another command invokes",
        "import click\n@click.command()\n@click.option('--n', default=2)\ndef inner(n): pass\n"
        "@click.command()\n@click.option('--n', default=1)\n@click.pass_context\n"
        "def main(context, n): context.invoke(inner, n=9)\nmain()",
        ["--n", "3"],
        [("app.py", {"n": 3}, ["n"])],
    ),
    (
        "click under its own test runner",
        "import click, click.testing\n@click.command()\n@click.option('--n', default=2)\ndef main(n): pass\n"
        "click.testing.CliRunner().invoke(main, ['--n', '7'])",
        ["--n", "3"],
        [],
    ),
    (
        "one function of typer's",
        "import typer\ndef main(n: int = 1, verbose: bool = False): pass\ntyper.run(main)",
        ["--verbose"],
        [("app.py", {"n": 1, "verbose": True}, ["verbose"])],
    ),
    (
        "absl's flags without its app",
        "import sys\nfrom absl import flags\nflags.DEFINE_integer('n', 1, 'n')\nprint(flags.FLAGS(sys.argv))",
        ["--n=2", "rest"],
        [("app.py", {"n": 2}, ["n"])],
    ),
    (
        "a function of tyro's",
        "import tyro\ndef main(lr: float, n: int = 1) -> None: print(lr)\ntyro.cli(main)",
        ["--lr", "0.5"],
        [("app.py", {"lr": 0.5, "n": 1}, ["lr"])],
    ),
    (
        "a choice of tyro's subcommands",
        "import tyro\nfrom dataclasses import dataclass\nfrom typing import Union\n@dataclass\n"
        "class Train:\n    lr: float\n    n: int = 1\n@dataclass\nclass Test:\n    path: str\n"
        "print(tyro.cli(Union[Train, Test]))",
        ["train", "--lr", "0.5"],
        [("app.py train", {"lr": 0.5, "n": 1}, ["lr"])],
    ),
    (
        "a choice of functions for tyro, called before anybody can look",
        "import tyro\ndef train(lr: float): return lr\ndef test(path: str): return path\n"
        "tyro.extras.subcommand_cli_from_dict({'train': train, 'test': test})",
        ["train", "--lr", "0.5"],
        [],
    ),
    (
        "tyro with words of its own",
        "import tyro\ndef main(lr: float, n: int = 1) -> None: print(lr)\ntyro.cli(main, args=['--lr', '3'])",
        ["--lr", "0.5"],
        [],
    ),
    (
        "one function of Fire's, with its own flags",
        "import fire\ndef main(a, *rest, b=2, **more): return a\nfire.Fire(main)",
        ["1", "2", "3", "--c=[1]", "--", "--separator=X"],
        [("app.py main", {"a": 1, "rest": [2, 3], "b": 2, "c": [1]}, ["a", "c", "rest"])],
    ),
    (
        "Fire with a chain of calls",
        "import fire\nclass Sum:\n    def __init__(self, start=0): self.n = start\n"
        "    def add(self, n): self.n += n; return self\nfire.Fire(Sum)",
        ["add", "1", "add", "2", "n", "--start=5"],
        [
            ("app.py Sum", {"start": 5}, ["start"]),
            ("app.py Sum.add", {"n": 1}, ["n"]),
            ("app.py Sum.add", {"n": 2}, ["n"]),
        ],
    ),
    (
        "Fire with a command of its own",
        "import fire\ndef main(a): return a\nfire.Fire(main, command='7')",
        ["1"],
        [],
    ),
    (
        "simple-parsing's parse",
        "import simple_parsing\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n    lr: float = 0.1\n"
        "print(simple_parsing.parse(C))",
        ["--lr", "2"],
        [("app.py", {"config": {"lr": 2.0}}, ["config.lr"])],
    ),
    (
        "jsonargparse's command line of functions",
        "from jsonargparse import CLI\ndef train(lr: float = 0.1): pass\ndef test(path: str): pass\nCLI([train, test])",
        ["train", "--lr", "2"],
        [
            (
                "app.py train",
                {"config": None, "subcommand": "train", "train": {"config": None, "lr": 2.0}},
                ["subcommand", "train.lr"],
            )
        ],
    ),
    (
        "argparse inside Fire",
        "import argparse, fire\np = argparse.ArgumentParser()\np.add_argument('--n', type=int)\n"
        "def main(**more): p.parse_args()\nfire.Fire(main)",
        ["--n", "2"],
        [("app.py main", {"n": 2}, ["n"]), ("app.py", {"n": 2}, ["n"])],
    ),
]


@poster_only
@needs_venv
class Variants(HookTest):
    def test_variants_of_the_frameworks_are_captured_as_they_were_called(self):
        for name, code, words, expected in VARIANTS:
            with self.subTest(name):
                self.fresh_store()
                (self.cwd / "app.py").write_text(code + "\n")
                command = [VENV_PYTHON, "app.py", *words]
                bare, watched = self.bare(*command), self.launch(*command)
                self.assert_same(bare, watched, name)
                self.assertEqual(bare.returncode, 0, bare.stderr)
                found = [(event["command"], event["values"], event["given"]) for event in self.events()]
                self.assertEqual(found, expected)


class Processes(HookTest):
    """Which process is the program: no framework is needed for that."""

    PARSE = """
import argparse, sys
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--api-key", default="nothing")
parser.parse_args()
"""

    def setUp(self):
        super().setUp()
        (self.cwd / "parse.py").write_text(self.PARSE)

    def mains(self, *argv, python=sys.executable):
        done = self.launch(*argv)
        self.assertEqual(done.returncode, 0, done.stderr)
        return sorted((event["main"], event["values"]["lr"]) for event in self.events())

    def sh(self, command):
        return self.mains("sh", "-c", command.replace("python", sys.executable))

    @poster_only
    def test_the_first_python_is_the_program_and_those_that_it_starts_are_not(self):
        start = "import subprocess, sys; subprocess.check_call([sys.executable, 'parse.py', '--lr', '2'])"
        (self.cwd / "start.py").write_text(self.PARSE + start)
        self.assertEqual(self.mains(sys.executable, "start.py", "--lr", "1"), [(False, 2.0), (True, 1.0)])

    @poster_only
    def test_scripts_that_a_shell_starts_one_after_another_are_each_the_program(self):
        self.assertEqual(self.sh("python parse.py --lr 1; python parse.py --lr 2"), [(True, 1.0), (True, 2.0)])

    @poster_only
    def test_a_python_that_the_process_becomes_is_still_the_program(self):
        (self.cwd / "become.py").write_text(
            "import os, sys; os.execv(sys.executable, [sys.executable, 'parse.py', '--lr', '3'])"
        )
        self.assertEqual(self.mains(sys.executable, "become.py"), [(True, 3.0)])

    @poster_only
    def test_what_a_launcher_starts_is_the_program_and_the_launcher_is_not(self):
        start = "import subprocess, sys; subprocess.check_call([sys.executable, 'parse.py', '--lr', '2'])"
        (self.cwd / "torchrun").write_text(self.PARSE + start)
        self.assertEqual(self.mains(sys.executable, "torchrun", "--lr", "1"), [(False, 1.0), (True, 2.0)])

    @poster_only
    def test_a_forked_process_is_not_the_program(self):
        fork = "import os\nif os.fork() == 0:\n    parser.parse_args()\nelse:\n    os.wait()\n"
        (self.cwd / "fork.py").write_text(self.PARSE + fork)
        self.assertEqual(self.mains(sys.executable, "fork.py", "--lr", "1"), [(False, 1.0), (True, 1.0)])

    @poster_only
    def test_a_run_within_a_run_has_a_program_of_its_own(self):
        inner = [*self.command(sys.executable, "parse.py", "--lr", "2")]
        (self.cwd / "outer.py").write_text(self.PARSE + f"import subprocess; subprocess.check_call({inner!r})")
        self.launch(sys.executable, "outer.py", "--lr", "1")
        found = [event for run in self.run_dirs() for event in self.events(run=run)]
        self.assertEqual(sorted((event["main"], event["values"]["lr"]) for event in found), [(True, 1.0), (True, 2.0)])

    @poster_only
    def test_the_rank_is_told_by_the_environment(self):
        self.env["RANK"] = "3"
        self.launch(sys.executable, "parse.py", "--lr", "1")
        self.assertEqual([event["rank"] for event in self.events()], [3])

    @poster_only
    def test_secrets_are_not_written_anywhere(self):
        self.launch(sys.executable, "parse.py", "--lr", "1", "--api-key", "hunter2hunter2")
        self.assertEqual([event["values"]["api_key"] for event in self.events()], ["<redacted>"])
        self.assertEqual([event["defaults"]["api_key"] for event in self.events()], ["<redacted>"])

    @poster_only
    def test_nothing_is_captured_when_it_is_not_wanted(self):
        self.launch(sys.executable, "parse.py", "--lr", "1", options=["--no-capture"])
        self.assertEqual(self.events(), [])
        self.fresh_store()
        (self.cwd / "poster.toml").write_text("[capture]\npython = false\n")
        self.launch(sys.executable, "parse.py", "--lr", "1")
        self.assertEqual(self.events(), [])

    @poster_only
    def test_the_file_of_events_is_for_the_owner_alone(self):
        self.launch(sys.executable, "parse.py", "--lr", "1")
        modes = {oct(file.stat().st_mode & 0o777) for file in (self.attempt_dir() / "events").glob("*.jsonl")}
        self.assertEqual(modes, {"0o600"})

    @poster_only
    def test_a_tracker_that_is_imported_is_told_once_and_one_that_is_looked_for_is_not(self):
        for name in ("wandb", "mlflow"):
            (self.cwd / f"{name}.py").write_text("")
        code = "import importlib.util; importlib.util.find_spec('mlflow'); import wandb, wandb"
        self.launch(sys.executable, "-c", "import sys; sys.path.insert(0, '')\n" + code)
        self.assertEqual([event["module"] for event in self.events("uses")], ["wandb"])


@poster_only
@needs_venv
class HydraDetails(HookTest):
    def run_app(self, config, *words, before="", body="pass"):
        (self.cwd / "app.py").write_text(
            f"import hydra\nfrom omegaconf import OmegaConf\n{before}\n"
            "from hydra.core.config_store import ConfigStore\n"
            f"ConfigStore.instance().store('app', {config!r})\n"
            "@hydra.main(version_base='1.3', config_path=None, config_name='app')\n"
            f"def main(config):\n    {body}\nmain()\n"
        )
        command = [VENV_PYTHON, "app.py", *words]
        bare, watched = self.bare(*command), self.launch(*command)
        self.assert_same(bare, watched, words)
        return {event["phase"]: event for event in self.events()}

    def test_what_cannot_be_resolved_stays_as_it_is_written(self):
        config = {"a": 1, "b": "${a}", "c": "${oc.env:NOT_SET}", "d": "???", "e": "${d}", "f": {"g": "${..b}"}}
        events = self.run_app(config)
        expected = {"a": 1, "b": 1, "c": "${oc.env:NOT_SET}", "d": "???", "e": "${d}", "f": {"g": 1}}
        self.assertEqual(events["job_start"]["values"], expected)
        self.assertEqual(events["job_start"]["raw"], config)

    def test_a_resolver_that_does_more_than_compute_is_not_called(self):
        before = (
            "calls = []\n"
            "OmegaConf.register_new_resolver('count', lambda: calls.append(1) or len(calls))\n"
            "OmegaConf.register_new_resolver('double', lambda x: 2 * x)\n"
            "OmegaConf.register_new_resolver('eval', eval)\n"
        )
        config = {"n": "${count:}", "m": "${n}", "x": 3, "twice": "${double:${x}}", "more": "${eval:'${x} + 1'}"}
        events = self.run_app(config, before=before, body="print(config.n, config.twice)")
        self.assertEqual(self.log().decode(), "1 6\n")
        expected = {"n": "${count:}", "m": "${n}", "x": 3, "twice": 6, "more": 4}
        self.assertEqual(events["job_start"]["values"], expected)

    def test_overrides_are_told_as_they_were_written_but_for_secrets(self):
        events = self.run_app({"a": 1, "b": 2, "password": "x"}, "b=${a}", "password=hunter2hunter2", "+c='d e'")
        self.assertEqual(events["run_start"]["overrides"], ["b=${a}", "password=<redacted>", "+c='d e'"])
        self.assertEqual(events["job_start"]["values"], {"a": 1, "b": 1, "password": "<redacted>", "c": "d e"})
        self.assertNotIn("hunter2", "".join(map(str, events.values())))

    def test_the_folders_of_a_sweep_are_told_from_wherever_its_jobs_are(self):
        words = ["-m", "a=1,2", "hydra.job.chdir=true", "hydra.sweep.dir=all", "hydra.sweep.subdir=${hydra.job.num}"]
        self.run_app({"a": 0}, *words)
        events = self.events()
        self.assertEqual({event["sweep_dir"] for event in events}, {str(self.cwd / "all")})
        jobs = [(event["job"], event["output_dir"]) for event in events if event["phase"] == "job_start"]
        self.assertEqual(jobs, [(number, str(self.cwd / "all" / str(number))) for number in (0, 1)])

    def test_a_sitecustomize_in_front_of_posters_leaves_hydra_captured(self):
        (self.cwd / "lib").mkdir()
        (self.cwd / "lib" / "sitecustomize.py").write_text("print('mine')\n")
        self.env["PYTHONPATH"] = str(self.cwd / "lib")
        self.assertEqual(set(self.run_app({"a": 1})), {"run_start", "job_start", "job_end", "run_end"})

    def test_an_own_environment_of_hydra_does_not_turn_it_off(self):
        (self.cwd / "conf" / "hydra" / "env").mkdir(parents=True)
        (self.cwd / "conf" / "hydra" / "env" / "mine.yaml").write_text("")
        events = self.run_app({"a": 1}, "--config-dir=conf", "hydra/env=mine")
        self.assertEqual(set(events), {"run_start", "job_start", "job_end", "run_end"})

    def test_words_that_run_no_job_make_no_run(self):
        (self.cwd / "app.py").write_text(
            "import hydra\n@hydra.main(version_base='1.3', config_path=None)\ndef main(config):\n    pass\nmain()\n"
        )
        for words in (["--help"], ["--cfg", "job"], ["--hydra-help"], ["--version"]):
            with self.subTest(words=words):
                command = [VENV_PYTHON, "app.py", *words]
                self.assert_same(self.bare(*command), self.launch(*command), words)
                self.assertEqual(self.run_dirs(), [])

    def test_a_python_without_site_is_captured_by_hydras_own_search_for_plugins(self):
        packages = subprocess.run(
            [VENV_PYTHON, "-c", "import omegaconf, os; print(os.path.dirname(os.path.dirname(omegaconf.__file__)))"],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout.decode()
        (self.cwd / "app.py").write_text(
            f"import sys; sys.path.append({packages.strip()!r})\nimport hydra\n"
            "@hydra.main(version_base='1.3', config_path=None)\ndef main(config): pass\nmain()\n"
        )
        done = self.launch(VENV_PYTHON, "-S", "app.py", "+lr=0.5")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual([event["phase"] for event in self.events()], ["run_start", "job_start", "job_end", "run_end"])


if __name__ == "__main__":
    main()
