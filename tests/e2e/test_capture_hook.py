"""What the hook in the child's Python captures of each framework, against what the examples themselves print.

POSTER_LINES    how many generated command lines each framework gets (default 6)
POSTER_SEED     of the generator
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys

from harness import HERE, VENV_PYTHON, PosterTest, json_lines, main, needs_venv, poster_only, wait_until

EXAMPLES = HERE.parent.parent / "examples" / "frameworks"
LINES = int(os.environ.get("POSTER_LINES", "6"))
SEED = int(os.environ.get("POSTER_SEED", "5"))

WORDS = ["base", "résumé", "two words", "a=b", "it's", '"quoted"', "back\\slash", "x" * 300, "10", "0x1F", "1e5"]
NAMES = ["base", "résumé", "two words"]
FLOATS = ["0.3", "1e-3", "5", ".5", "1e400", "123456789.25", "3e8"]


def some(rng, options):
    """A few of the options, in any order."""
    chosen = [option for option in options if rng.random() < 0.6]
    rng.shuffle(chosen)
    return [word for option in chosen for word in option]


def numbers(rng):
    return [str(rng.randint(-999, 999)) for _ in range(rng.randint(1, 4))]


def argparse_line(rng):
    outer = some(rng, [["--seed", str(rng.randint(0, 2**70))], ["-v" + "v" * rng.randint(0, 2)]])
    if rng.random() < 0.3:
        return [*outer, "evaluate", rng.choice(WORDS), *some(rng, [["--split=test"]])]
    lists = [["--layers", *map(str, map(abs, map(int, numbers(rng))))], ["--lr", rng.choice(FLOATS)], ["--amp"]]
    return [*outer, "train", *some(rng, [[rng.choice(WORDS)]]), *some(rng, lists)]


def jsonargparse_line(rng):
    lists = json.dumps([int(number) for number in numbers(rng)])
    options = [["--lr", rng.choice(FLOATS)], ["--layers", lists], ["--name", rng.choice(NAMES)]]
    nested = [["--model.width", str(rng.randint(1, 999))], ["--model.dropout=" + rng.choice(FLOATS)]]
    return some(rng, [*options, ["--amp", rng.choice(["true", "false"])], *nested])


def simple_parsing_line(rng):
    options = [["--lr", rng.choice(FLOATS)], ["--steps", str(rng.randint(0, 999))], ["--name", rng.choice(WORDS)]]
    more = [["--amp"], ["--layers", "1", "2", "3"], ["--width", "7"], ["--seed", "3"], ["--dropout=0.25"]]
    return some(rng, options + more)


def click_line(rng):
    outer = some(rng, [["--seed", str(rng.randint(-5, 5))]])
    if rng.random() < 0.3:
        return [*outer, "evaluate", rng.choice(WORDS), *some(rng, [["-vvv"], ["-v"]])]
    options = [["--lr", rng.choice(FLOATS)], ["--layer", "1"], ["--layer", "2"], [rng.choice(["--amp", "--no-amp"])]]
    return [*outer, "train", *some(rng, [*options, ["--optimizer=adam"], [rng.choice(WORDS)]])]


def typer_line(rng):
    if rng.random() < 0.3:
        return ["evaluate", rng.choice(WORDS), *some(rng, [["--steps", str(rng.randint(0, 99))]])]
    options = [["--lr", rng.choice(FLOATS)], ["--layers", "1"], ["--layers", "2"], ["--name", rng.choice(WORDS)]]
    return ["train", *some(rng, [*options, ["--amp"], ["--optimizer", "adam"], ["--data", rng.choice(WORDS)]])]


def absl_line(rng):
    options = [["--lr=" + rng.choice(FLOATS)], ["--steps", str(rng.randint(-9, 9))], [rng.choice(["--amp", "--noamp"])]]
    texts = [["--name", rng.choice(WORDS)], ["--layers=" + ",".join(numbers(rng))], ["--optimizer=adam"], ["rest"]]
    return some(rng, [*options, *texts])


def tyro_line(rng):
    options = [["--lr", rng.choice(FLOATS)], [rng.choice(["--amp", "--no-amp"])], ["--name", rng.choice(WORDS)]]
    lists = [["--layers", "1", "2", "3"], ["--optimizer", "adam"], ["--model.width", "7"], ["--model.dropout", "0.5"]]
    return some(rng, [*options, *lists])


def fire_line(rng):
    values = ["3", "1e-3", "[1,a]", "{a:1}", "(1,2)", "1,2", "True", "None", "010", "'7'", "1+2", "a-b", *WORDS]
    if rng.random() < 0.3:
        return ["evaluate", rng.choice(WORDS), *some(rng, [["one"], ["2"], ["--seed", "4"]])]
    options = [["--lr=" + rng.choice(values)], ["--layers", "[64,32]"], [rng.choice(["--amp", "--noamp"])]]
    more = [["--seed=" + rng.choice(values)], ["--more-of=" + rng.choice(values)], ["--name", rng.choice(values)]]
    return ["train", *some(rng, [[rng.choice(WORDS)]]), *some(rng, options + more)]


def hydra_line(rng):
    options = [["lr=" + rng.choice(FLOATS)], ["model=large"], ["model.width=3"], ["layers=[1,2,3]"]]
    more = [["+more.deep=true"], ["name=" + rng.choice(["base", "'two words'"])], ["~warmup"], ["++amp=null"]]
    return some(rng, options + more)


def multirun_line(rng):
    return ["-m", "lr=0.1,1e-3", *some(rng, [["model=small,large"], ["layers=[1,2]"], ["name=base"]])]


def zen_line(rng):
    return some(rng, [["lr=" + rng.choice(FLOATS)], ["model.width=3"], ["layers=[1,2,3]"], ["name=base"]])


def launch_line(rng):
    return [str(rng.random()) for _ in range(rng.randint(0, 3))]


# What the test calls it, the example, the framework as it is recorded, the generator.
FRAMEWORKS = [
    ("argparse", "train_argparse.py", "argparse", argparse_line),
    ("jsonargparse", "train_jsonargparse.py", "jsonargparse", jsonargparse_line),
    ("simple-parsing", "train_simple_parsing.py", "simple-parsing", simple_parsing_line),
    ("click", "train_click.py", "click", click_line),
    ("typer", "train_typer.py", "typer", typer_line),
    ("absl", "train_absl.py", "absl", absl_line),
    ("tyro", "train_tyro.py", "tyro", tyro_line),
    ("fire", "train_fire.py", "fire", fire_line),
    ("hydra", "train_hydra.py", "hydra", hydra_line),
    ("hydra multirun", "train_hydra.py", "hydra", multirun_line),
    ("hydra-zen hydra_main", "train_zen.py", "hydra-zen", zen_line),
    ("hydra-zen launch", "launch_zen.py", "hydra-zen", launch_line),
]


def without_targets(value):
    """hydra-zen's _target_ is in the configuration and not among the arguments of the task."""
    if isinstance(value, dict):
        return {name: without_targets(inner) for name, inner in value.items() if name != "_target_"}
    return value


def configurations(events):
    """Of Hydra one for each job; of the others one, merged from the events of the command's parts."""
    jobs = [event["values"] for event in events if event.get("phase") == "job_start"]
    if any("phase" in event for event in events):
        return [without_targets(values) for values in jobs]
    merged = {}
    for event in events:
        merged.update(event["values"])
    return [merged]


def typed(values):
    """As text that tells 1, 1.0 and true apart; infinities as events spell them."""
    return json.dumps(values, sort_keys=True).replace(" Infinity", ' "Infinity"')


def unhurried(output):
    """Without the times of Hydra's log lines."""
    return re.sub(rb"\d{4}-\d\d-\d\d[ /]\d\d[:-]\d\d[:-]\d\d(,\d+)?", b"TIME", output)


class HookTest(PosterTest):
    def setUp(self):
        super().setUp()
        self.env["PYTHONDONTWRITEBYTECODE"] = ""

    def events(self, kind="capture", run=None):
        files = sorted((self.attempt_dir(run) / "events").glob("*.jsonl"))
        return [event for file in files for event in json_lines(file) if event["kind"] == kind]

    def bare(self, *argv):
        return subprocess.run(argv, env=self.env, cwd=self.cwd, stdin=subprocess.DEVNULL, capture_output=True)

    def assert_same(self, bare, watched, what):
        for stream in ("stdout", "stderr"):
            self.assertEqual(unhurried(getattr(watched, stream)), unhurried(getattr(bare, stream)), what)
        self.assertEqual(watched.returncode, bare.returncode, what)


@poster_only
@needs_venv
class Frameworks(HookTest):
    """One test for each framework, made below."""

    def check_lines(self, example, framework, generate):
        rng = random.Random(f"{SEED} {example} {generate.__name__}")
        for number in range(LINES):
            words = generate(rng)
            with self.subTest(words=words):
                self.fresh_store()
                command = [VENV_PYTHON, str(EXAMPLES / example), *words]
                bare, watched = self.bare(*command), self.launch(*command)
                self.assert_same(bare, watched, words)
                self.assertEqual(bare.returncode, 0, bare.stderr)
                printed = [json.loads(line) for line in bare.stdout.splitlines() if line.startswith(b"{")]
                events = self.events()
                self.assertEqual({event["framework"] for event in events}, {framework})
                self.assertEqual(
                    [typed(values) for values in configurations(events)], [typed(values) for values in printed]
                )


def make_test(example, framework, generate):
    return lambda self: self.check_lines(example, framework, generate)


for name, example, framework, generate in FRAMEWORKS:
    test_name = f"test_the_values_of_{re.sub('[ -]', '_', name)}_are_those_that_the_program_prints"
    setattr(Frameworks, test_name, make_test(example, framework, generate))
del test_name


# Put in front of a copy of an example: what it does when it would print.
ENDING = """
import builtins, os, sys, time
WHAT = os.environ["ENDING"]
if WHAT == "chdir":
    os.makedirs("/tmp/poster-elsewhere", exist_ok=True)
    os.chdir("/tmp/poster-elsewhere")
def print(text):
    builtins.print(text, flush=True)
    if WHAT == "fail":
        raise ValueError("as it was told")
    while WHAT == "wait":
        time.sleep(0.01)
"""

# Of each framework a line with a subcommand, where it has them, and one value that must be there.
SITUATIONS = [
    ("train_argparse.py", "argparse", ["train", "--lr", "0.25"]),
    ("train_jsonargparse.py", "jsonargparse", ["--lr", "0.25"]),
    ("train_simple_parsing.py", "simple-parsing", ["--lr", "0.25"]),
    ("train_click.py", "click", ["--seed", "3", "train", "--lr", "0.25"]),
    ("train_typer.py", "typer", ["train", "--lr", "0.25"]),
    ("train_absl.py", "absl", ["--lr", "0.25"]),
    ("train_tyro.py", "tyro", ["--lr", "0.25"]),
    ("train_fire.py", "fire", ["train", "--lr", "0.25"]),
    ("train_hydra.py", "hydra", ["lr=0.25"]),
    ("train_hydra.py", "hydra", ["-m", "lr=0.25"]),
    ("train_hydra.py", "hydra", ["lr=0.25", "hydra.job.chdir=true"]),
    ("train_zen.py", "hydra-zen", ["lr=0.25"]),
    ("launch_zen.py", "hydra-zen", ["0.25"]),
]


def learning_rate(values):
    return values["config"]["lr"] if "config" in values else values["lr"]


@poster_only
@needs_venv
class Situations(HookTest):
    def setUp(self):
        super().setUp()
        shutil.copytree(EXAMPLES, self.cwd, dirs_exist_ok=True)
        for script in self.cwd.glob("*.py"):
            docstring, rest = script.read_text().split("\n", 1)
            script.write_text(docstring + ENDING + rest)
        # Colours and widths of tracebacks are those of no terminal in both.
        self.env["COLUMNS"] = "100"

    def check(self, script, framework, words, ending, module=False):
        self.fresh_store()
        self.env["ENDING"] = ending
        command = [VENV_PYTHON, *(["-m", script[: -len(".py")]] if module else [script]), *words]
        bare, watched = self.bare(*command), self.launch(*command)
        self.assert_same(bare, watched, command)
        self.assertEqual(bare.returncode != 0, ending == "fail", bare.stderr)
        self.check_events(framework, command)
        return self.events()

    def check_events(self, framework, command):
        events = self.events()
        self.assertEqual({event["framework"] for event in events}, {framework}, command)
        self.assertEqual({event["main"] for event in events}, {True}, command)
        self.assertEqual([learning_rate(values) for values in configurations(events)], [0.25], command)

    def test_a_script_that_fails_fails_with_the_same_words(self):
        for script, framework, words in SITUATIONS:
            with self.subTest(script=script, words=words):
                events = self.check(script, framework, words, "fail")
                ends = [(event["status"], event["error"]) for event in events if event.get("phase") == "job_end"]
                expected = [("FAILED", "ValueError: as it was told")] if framework.startswith("hydra") else []
                self.assertEqual(ends, expected)

    def test_a_module_is_captured_like_a_script(self):
        for script, framework, words in SITUATIONS:
            with self.subTest(script=script, words=words):
                events = self.check(script, framework, words, "", module=True)
                self.assertEqual({event["program"] for event in events}, {script[: -len(".py")]})

    def test_a_script_may_change_its_directory(self):
        for script, framework, words in SITUATIONS:
            with self.subTest(script=script, words=words):
                self.check(script, framework, words, "chdir")

    def test_what_was_captured_is_there_when_the_script_is_killed(self):
        for script, framework, words in SITUATIONS:
            with self.subTest(script=script, words=words):
                self.fresh_store()
                self.env["ENDING"] = "wait"
                process = self.start(VENV_PYTHON, script, *words)
                wait_until(lambda: self.run_dirs() and b"{" in self.log_so_far(), what="the script's output")
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(60), -signal.SIGTERM)
                self.check_events(framework, words)
                phases = [event["phase"] for event in self.events() if "phase" in event]
                self.assertEqual(phases, ["run_start", "job_start"] if framework.startswith("hydra") else [])

    def log_so_far(self):
        log = self.attempt_dir() / "output.log"
        return log.read_bytes() if log.exists() else b""


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

    def test_words_that_run_no_job_leave_no_events(self):
        for words in (["--help"], ["--cfg", "job"], ["--hydra-help"], ["--version"]):
            with self.subTest(words=words):
                self.fresh_store()
                self.assertEqual(self.run_app({"a": 1}, *words), {})

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
