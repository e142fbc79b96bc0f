"""The Python client: what a program that says `import poster` leaves in its run, on every Python of this machine."""

import os
import re
import subprocess

from client_case import CLIENT, NEWEST, PYTHONS, ClientTest
from harness import VENV_PYTHON, PosterTest, json_lines, main, needs_venv, poster_only

EVERYTHING = """
import logging
poster.log_metric('loss', 0.3, step=10)
poster.log_metrics({'loss': 0.3, 'acc': 0.9}, step=10, epoch=1)
poster.log_message('text', level='warning')
poster.log_image('x', [[1, 2]], step=1, caption='c', notify=True)
poster.log_images('x', [[[3]]], step=2)
poster.save_file(__file__, name='copy')
poster.log_config({'lr': 0.1}, more=1)
poster.set_summary({'best': 1})
poster.notify('text')
log = logging.getLogger('log')
log.addHandler(poster.LogHandler())
log.warning('text')
"""


class Metrics(ClientTest):
    def values(self, *expressions, python=None, imports=""):
        """What is recorded for each of the expressions."""
        code = (
            f"{imports}\nfor i, value in enumerate([{', '.join(expressions)}]): poster.log_metric('x', value, step=i)"
        )
        done = self.call(code, python)
        self.assertEqual(done.stderr, "")
        return [line["values"]["x"] for line in self.lines("metric")]

    def test_a_metric_is_spelled_as_documented(self):
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                self.call("poster.log_metric('loss', 0.3, step=10, epoch=1)", python, RANK="0")
                (path,) = self.events.iterdir()
                self.assertRegex(path.name, r"^[^/]+\.\d+\.jsonl$")
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                self.assertRegex(
                    path.read_text(),
                    r'^{"kind":"metric","time":\d{10}\.\d{6},"step":10,"epoch":1,"rank":0,"values":{"loss":0\.3}}\n$',
                )
                path.unlink()

    def test_numbers_of_python_are_kept_exactly(self):
        cases = {
            "3": 3,
            "0.1": 0.1,
            "1e300": 1e300,
            "-5e-324": -5e-324,
            "True": 1,
            "2**63": 2**63,
            "-2**70": -(2.0**70),
            "10**400": "Infinity",
            "float('nan')": "NaN",
            "float('inf')": "Infinity",
            "-float('inf')": "-Infinity",
            "decimal.Decimal('0.25')": 0.25,
            "fractions.Fraction(1, 4)": 0.25,
            "Float(0.5)": 0.5,
            "Index()": 7,
            "types.SimpleNamespace(numpy=lambda: types.SimpleNamespace(item=lambda: 0.25))": 0.25,
        }
        imports = """import decimal, fractions, types
class Float(float):
    def __repr__(self): return 'Float'
class Index:
    def __float__(self): return 7.0
"""
        self.assertEqual(self.values(*cases, imports=imports), list(cases.values()))

    @needs_venv
    def test_numbers_of_numpy_are_taken(self):
        cases = {
            "np.float32(0.5)": 0.5,
            "np.float64(0.1)": 0.1,
            "np.float16(0.5)": 0.5,
            "np.longdouble(0.5)": 0.5,
            "np.int64(-3)": -3,
            "np.uint8(200)": 200,
            "np.bool_(True)": 1,
            "np.array(0.25)": 0.25,
            "np.array([0.25])": 0.25,
            "np.array([[3]])": 3,
            "np.float64('nan')": "NaN",
            "np.float32('-inf')": "-Infinity",
        }
        found = self.values(*cases, python=VENV_PYTHON, imports="import numpy as np")
        self.assertEqual(found, list(cases.values()))

    def test_names_of_any_text_are_kept(self):
        names = ["loss", "val/ä b", 'qu"ote', "back\\slash", "new\nline\t\x01", "\u2028\U0001f600", "", "%s %d", 3]
        code = f"for name in {names!r}: poster.log_metric(name, 1.5); poster.log_metrics({{name: 1.5}}, step=1)"
        self.call(code + "\nposter.log_metric('\\udc80x', 1)")
        recorded = [next(iter(line["values"])) for line in self.lines()]
        self.assertEqual(recorded, [str(name) for name in names for _ in range(2)] + ["?x"])

    def test_steps_and_epochs_are_numbers_or_left_out(self):
        steps = {
            "0": 0,
            "-1": -1,
            "10.0": 10,
            "True": 1,
            "None": None,
            "10**15": 10**15,
            "0.5": None,
            "'3'": None,
            "[]": None,
        }
        self.call(f"for step in [{', '.join(steps)}]: poster.log_metric('x', 1, step=step)")
        self.assertEqual([line.get("step") for line in self.lines()], list(steps.values()))
        epochs = {"0.5": 0.5, "3": 3, "'a'": None, "float('nan')": None}
        self.call(f"for epoch in [{', '.join(epochs)}]: poster.log_metrics({{'y': 1}}, epoch=epoch)")
        self.assertEqual([line.get("epoch") for line in self.lines() if "y" in line["values"]], list(epochs.values()))

    def test_metrics_of_one_step_share_a_line_without_those_that_are_none(self):
        self.call(
            "poster.log_metrics({'a': 1, 'b': 'x', 'c': 0.5}, step=3); poster.log_metrics({'d': None}); poster.log_metrics({})"
        )
        (line,) = self.lines()
        self.assertEqual((line["values"], line["step"]), ({"a": 1, "c": 0.5}, 3))

    def test_a_hundred_thousand_metrics_are_all_there(self):
        self.call("for i in range(100000): poster.log_metric('x', i / 7, step=i)")
        self.assertEqual(
            [(line["step"], line["values"]["x"]) for line in self.lines()], [(i, i / 7) for i in range(100000)]
        )


class Messages(ClientTest):
    def test_messages_and_notes_to_people_are_recorded(self):
        self.call("""
poster.log_message('two\\nlines "quoted" ä')
for level in ('debug', 'INFO', 'warn', 'warning', 'error', 'critical', 10, 20, 30, 40, 50): poster.log_message(level, level)
poster.notify('done')
""")
        messages = self.lines("message")
        self.assertEqual(messages[0]["text"], 'two\nlines "quoted" ä')
        levels = "info debug info warning warning error error debug info warning error error".split()
        self.assertEqual([line["level"] for line in messages], levels)
        self.assertEqual([line["text"] for line in self.lines("notify")], ["done"])

    def test_what_logging_logs_becomes_messages(self):
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                done = self.call("""
import logging
from poster import LogHandler
logging.getLogger().addHandler(LogHandler(logging.INFO))
logging.getLogger().setLevel(logging.DEBUG)
log = logging.getLogger('a.b')
log.debug('no')
log.info('half %s', 'way')
log.warning('%d', 'wrong')
try: 1 / 0
except ZeroDivisionError: log.exception('failed')
""", python)  # fmt: skip
                messages = self.lines("message")
                self.assertEqual([(m["level"], m["logger"]) for m in messages], [("info", "a.b"), ("error", "a.b")])
                self.assertEqual(messages[0]["text"], "half way")
                self.assertRegex(messages[1]["text"], "(?s)^failed\nTraceback .*ZeroDivisionError")
                self.assertIn("cannot be formatted", done.stderr)
                next(self.events.iterdir()).unlink()

    def test_parameters_of_any_type_become_json(self):
        code = """
import argparse, collections, dataclasses, enum, pathlib
class Color(enum.Enum): RED = 1
class Number(enum.IntEnum): ONE = 1
@dataclasses.dataclass
class Model: layers: list; rate: float = 0.5
class Other:
    def __repr__(self): return 'x' * 1000
loop = []; loop.append(loop)
poster.log_config({'none': None, 'flag': True, 'int': 3, 'float': 0.1, 'nan': float('nan'), 'text': 'a"b\\nä', 'list': [1, (2, 3)],
    'set': {'b', 'a'}, 'dict': {1: {'x': 2}}, 'path': pathlib.Path('/a/b'), 'enum': Color.RED, 'number': Number.ONE, 'model': Model([1]),
    'other': Other(), 'type': dict, 'bytes': b'ab', 'ordered': collections.OrderedDict(z=1), 'named': argparse.Namespace(q=1)}, more=1)
poster.log_config(argparse.Namespace(lr=0.1)); poster.log_config(Model([2])); poster.log_config({'loop': loop}); poster.log_config({})
"""
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                self.assertEqual(self.call(code, python).stderr, "")
                first, namespace, model, loop, empty = (line["values"] for line in self.lines("config"))
                wanted = {"none": None, "flag": True, "int": 3, "float": 0.1, "nan": "NaN", "text": 'a"b\nä', "list": [1, [2, 3]],
                          "set": ["a", "b"], "dict": {"1": {"x": 2}}, "path": "/a/b", "enum": "RED", "number": "ONE",
                          "model": {"layers": [1], "rate": 0.5}, "other": "x" * 199 + "…", "type": "<class 'dict'>", "bytes": "b'ab'",
                          "ordered": {"z": 1}, "named": {"q": 1}, "more": 1}  # fmt: skip
                self.assertEqual(first, wanted)
                self.assertEqual((namespace, model, empty), ({"lr": 0.1}, {"layers": [2], "rate": 0.5}, {}))
                self.assertIn("loop", loop)
                next(self.events.iterdir()).unlink()

    @needs_venv
    def test_parameters_of_numpy_and_omegaconf_become_json(self):
        self.call("""
import numpy as np
from omegaconf import OmegaConf
poster.log_config({'a': np.float32(0.5), 'b': np.arange(3), 'c': np.zeros((2000,)), 'd': np.bool_(True)})
poster.log_config(OmegaConf.create({'lr': 0.1, 'layers': [1, 2], 'twice': '${lr}', 'gone': '???', 'bad': '${nowhere}'}))
""", VENV_PYTHON)  # fmt: skip
        of_numpy, of_omegaconf = (line["values"] for line in self.lines("config"))
        self.assertEqual((of_numpy["a"], of_numpy["b"], of_numpy["d"]), (0.5, [0, 1, 2], True))
        self.assertRegex(of_numpy["c"], r"^array\(")
        self.assertEqual(of_omegaconf, {"lr": 0.1, "layers": [1, 2], "twice": 0.1, "gone": "???", "bad": "???"})


class Mistakes(ClientTest):
    WRONG = ["poster.log_metric('x', 'text')", "poster.log_metric('x', [1, 2])", "poster.log_metric('x', None)",
             "poster.log_metric('x', 1j)", "poster.log_metrics([1])", "poster.log_metrics(3)", "poster.log_metric('x', 1, step='a')",
             "poster.log_config(3)", "poster.log_config([1])", "poster.set_summary('x')", "poster.log_message('x', level='loud')",
             "poster.log_image('x', 3)", "poster.log_image('x', 'not there.png')", "poster.log_image('x', [[1, 2], [3]])",
             "poster.log_image('x', [])", "poster.log_image('x', __file__)", "poster.log_images('x', 3)",
             "poster.save_file('not there')", "poster.save_file(3)", "poster.save_file(__file__, '../x')"]  # fmt: skip

    def test_a_mistake_is_told_once_with_its_place_and_never_raised(self):
        for wrong in self.WRONG:
            with self.subTest(wrong):
                done = self.call(f"for i in range(3):\n    {wrong}\nprint('went on')")
                self.assertEqual(done.stdout, "went on\n")
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertRegex(done.stderr, r"^poster: \w+: .*program\.py:4; said once, POSTER_STRICT=1")

    def test_a_mistake_is_raised_where_that_is_asked_for(self):
        for wrong in self.WRONG:
            with self.subTest(wrong):
                code = f"try:\n    {wrong}\nexcept (TypeError, ValueError, OSError) as error: print('raised', error)"
                self.assertRegex(self.call(code, POSTER_STRICT="1").stdout, "^raised poster: ")
                self.assertEqual(self.call(code, POSTER_STRICT="0").stdout, "")

    def test_each_kind_of_mistake_is_told(self):
        done = self.call("for value in ['a', 'b', [], None]: poster.log_metric('x', value)")
        self.assertEqual(len(done.stderr.splitlines()), 3, done.stderr)

    def test_a_closed_stderr_does_not_matter(self):
        self.call("sys.stderr.close(); poster.log_metric('x', 'text'); sys.stderr = None; poster.log_metric('x', [])")

    def test_objects_that_raise_do_no_harm(self):
        code = """
class Bad:
    def __getattribute__(self, name): raise RuntimeError(name)
    def __repr__(self): raise RuntimeError
    def __str__(self): raise RuntimeError
for call in (lambda: poster.log_metric('x', Bad()), lambda: poster.log_metrics({'x': Bad()}), lambda: poster.log_metric('x', 1, step=Bad()),
             lambda: poster.log_message(Bad()), lambda: poster.notify(Bad()), lambda: poster.log_config({'x': Bad()}), lambda: poster.log_config(Bad()),
             lambda: poster.log_image('x', Bad()), lambda: poster.log_image(Bad(), [[1]]), lambda: poster.log_image('x', [[1]], caption=Bad()),
             lambda: poster.save_file(Bad()), lambda: poster.log_metric(Bad(), 1), lambda: poster.log_message('x', level=Bad())):
    call()
print('went on')
"""
        self.assertEqual(self.call(code).stdout, "went on\n")
        self.lines()


class Outside(ClientTest):
    def test_every_call_does_nothing(self):
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                done = self.call(EVERYTHING, python, inside=False)
                self.assertEqual((done.stdout, done.stderr), ("", ""))
                self.assertEqual(sorted(os.listdir(self.cwd)), ["program.py"])
                self.assertEqual(list(self.run_place.rglob("*.*")), [])

    def test_the_calls_look_the_same(self):
        code = """
import inspect
for name in poster.__all__:
    value = getattr(poster, name)
    if inspect.isfunction(value): print(name, inspect.signature(value), value.__doc__, value.__qualname__)
"""
        inside, outside = self.call(code).stdout, self.call(code, inside=False).stdout
        self.assertEqual(inside, outside)
        self.assertGreaterEqual(len(re.findall("^[a-z_]+ [(]", inside, re.MULTILINE)), 9)

    def test_where_it_is_is_told_inside_and_outside(self):
        code = """
print(poster.active, poster.run_id, poster.run_dir, poster.files_dir, poster.attempt, poster.resumed, poster.rank)
print(os.path.isdir('checkpoints'), os.path.isdir(poster.checkpoint_dir), os.path.relpath(poster.checkpoint_dir, poster.files_dir))
"""
        inside = self.call(code, POSTER_ATTEMPT="2", POSTER_RESUMED="1", RANK="3").stdout.splitlines()
        self.assertEqual(inside[0], f"True 20261123-070213-k7qd {self.run_place} {self.files} 2 True 3")
        self.assertEqual(inside[1], "False True checkpoints")
        outside = self.call(code, inside=False).stdout.splitlines()
        self.assertEqual(outside, ["False None None . 0 False 0", "False True checkpoints"])

    def test_importing_it_imports_nothing_else(self):
        for version, python in PYTHONS.items():
            for inside in (True, False):
                with self.subTest(python=version, inside=inside):
                    code = "import sys; before = set(sys.modules); import poster; print(*sorted(set(sys.modules) - before))"
                    env = {**self.env, "PYTHONPATH": str(CLIENT), **(self.in_run if inside else {})}
                    done = subprocess.run([python, "-c", code], env=env, stdout=subprocess.PIPE, check=True)
                    self.assertIn(done.stdout.split(), ([b"poster"], [b"poster", b"time"]))


@poster_only
class InARun(PosterTest):
    def test_it_is_found_without_being_installed(self):
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                self.fresh_store()
                (self.cwd / "train.py").write_text("import poster\n" + EVERYTHING + "print(poster.run_id, poster.rank)")
                done = self.launch(python, "train.py")
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertEqual(done.stdout.decode(), f"{self.run_dir().name} 0\n")
                (path,) = (self.attempt_dir() / "events").glob("*.[0-9]*.jsonl")
                kinds = [line["kind"] for line in json_lines(path) if line["kind"] != "capture"]
                self.assertEqual(kinds, "metric metric message image image file config summary notify message".split())
                self.assertTrue((self.run_dir() / "images" / "x" / "1.png").is_file())
                self.assertTrue((self.run_dir() / "files" / "copy").is_file())

    def test_all_ranks_log_into_one_run(self):
        """As torchrun does it: a launcher that starts processes with RANK set."""
        worker = "import poster; poster.log_metric('x', poster.rank + 0.5, step=1)"
        code = f"import os, subprocess, sys\n[subprocess.run([sys.executable, '-c', {worker!r}], env=dict(os.environ, RANK=str(r))) for r in range(4)]"
        self.launch(NEWEST, "-c", code)
        lines = [
            line
            for path in (self.attempt_dir() / "events").iterdir()
            for line in json_lines(path)
            if line["kind"] == "metric"
        ]
        self.assertEqual(
            sorted((line["rank"], line["values"]["x"]) for line in lines), [(r, r + 0.5) for r in range(4)]
        )

    def test_the_second_attempt_knows_that_it_is_one(self):
        (self.cwd / "train.py").write_text(
            "import poster, sys\nprint(poster.attempt, poster.resumed)\nopen(poster.checkpoint_dir + '/c', 'a').write('x')\nsys.exit(poster.attempt == 1)"
        )
        self.launch(NEWEST, "train.py")
        done = self.poster("continue", self.run_dir().name)
        self.assertIn(b"2 True", done.stdout)
        self.assertEqual((self.run_dir() / "files" / "checkpoints" / "c").read_text(), "xx")


@poster_only
class ClientCommand(PosterTest):
    SOURCE = (CLIENT / "poster.py").read_bytes()

    def client(self, *words, **options):
        return self.poster("client", *words, store=False, **options)

    def test_it_prints_the_client(self):
        self.assertEqual(self.client(check=0).stdout, self.SOURCE)

    def test_it_writes_the_client_into_a_project_that_then_needs_no_poster(self):
        self.assertEqual(self.client("--write", ".", check=0).stdout, b"")
        self.assertEqual((self.cwd / "poster.py").read_bytes(), self.SOURCE)
        (self.cwd / "train.py").write_text("import poster; print(poster.__file__, poster.active)")
        done = subprocess.run([NEWEST, "train.py"], cwd=self.cwd, env=self.env, stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.decode().split(), [str(self.cwd / "poster.py"), "False"])

    def test_an_older_client_is_replaced_and_anything_else_is_left_alone(self):
        path = self.cwd / "poster.py"
        path.write_bytes(self.SOURCE[:200])
        self.client("--write", str(self.cwd), check=0)
        self.assertEqual(path.read_bytes(), self.SOURCE)
        path.write_text("mine = 1\n")
        self.assertIn(b"is something else", self.client("--write", ".", check=1).stderr)
        self.assertEqual(path.read_text(), "mine = 1\n")
        path.unlink()
        path.symlink_to("nowhere")
        self.client("--write", ".", check=1)
        self.assertTrue(path.is_symlink())
        self.client("--write", "no folder", check=1)
        self.assertEqual(sorted(os.listdir(self.cwd)), ["poster.py"])


if __name__ == "__main__":
    main()
