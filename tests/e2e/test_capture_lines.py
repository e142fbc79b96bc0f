"""What the hook captures of each framework is what the program prints, on generated command lines.

POSTER_LINES    how many lines each framework gets (default 6)
POSTER_SEED     of the generator
"""

import json
import os
import random
import re

from harness import VENV_PYTHON, main, needs_venv, poster_only
from hooked import EXAMPLES, HookTest, configurations

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


def typed(values):
    """As text that tells 1, 1.0 and true apart; infinities as events spell them."""
    return json.dumps(values, sort_keys=True).replace(" Infinity", ' "Infinity"')


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

if __name__ == "__main__":
    main()
