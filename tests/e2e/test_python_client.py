"""The Python client: what a program that says `import poster` leaves in its run, on every Python of this machine."""

import json
import os
import pathlib
import random
import re
import struct
import subprocess

from harness import HERE, VENV_PYTHON, PosterTest, json_lines, main, needs_venv, poster_only, pythons, wait_until

CLIENT = HERE.parent.parent / "src" / "client" / "python"
PYTHONS = pythons()

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


class ClientTest(PosterTest):
    """Runs code beside the client, in a stand-in of a run: a directory, and the variables that tell of it."""

    def setUp(self):
        super().setUp()
        self.run_place = self.tmp / "run"
        self.events = self.run_place / "attempts" / "1" / "events"
        self.files = self.run_place / "files"
        for folder in (self.events, self.files):
            folder.mkdir(parents=True)
        self.in_run = {
            "POSTER_RUN_ID": "20261123-070213-k7qd",
            "POSTER_RUN_DIR": str(self.run_place),
            "POSTER_EVENTS_DIR": str(self.events),
            "POSTER_FILES_DIR": str(self.files),
            "POSTER_ATTEMPT": "1",
        }

    def call(self, code, python=None, inside=True, check=True, **env):
        """Runs the code with `poster` imported; gives the CompletedProcess, with text."""
        program = self.cwd / "program.py"
        program.write_text("import os, sys\nimport poster\n" + code)
        done = subprocess.run(
            [python or PYTHONS[max(PYTHONS)], str(program)],
            env={**self.env, "PYTHONPATH": str(CLIENT), **(self.in_run if inside else {}), **env},
            cwd=self.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=120,
        )
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def lines(self, kind=None):
        """The events of all processes; each line must be whole."""
        found = []
        for path in sorted(self.events.glob("*.jsonl")):
            content = path.read_bytes()
            self.assertTrue(content.endswith(b"\n"), content[-100:])
            found += [json.loads(line) for line in content.splitlines()]
        return [line for line in found if kind is None or line["kind"] == kind]


class Metrics(ClientTest):
    def values(self, *expressions, python=None, imports=""):
        """What is recorded for each of the expressions."""
        code = f"{imports}\nfor i, value in enumerate([{', '.join(expressions)}]): poster.log_metric('x', value, step=i)"
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
        }
        imports = """import decimal, fractions
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
        steps = {"0": 0, "-1": -1, "10.0": 10, "True": 1, "None": None, "10**15": 10**15, "0.5": None, "'3'": None, "[]": None}
        self.call(f"for step in [{', '.join(steps)}]: poster.log_metric('x', 1, step=step)")
        self.assertEqual([line.get("step") for line in self.lines()], list(steps.values()))
        epochs = {"0.5": 0.5, "3": 3, "'a'": None, "float('nan')": None}
        self.call(f"for epoch in [{', '.join(epochs)}]: poster.log_metrics({{'y': 1}}, epoch=epoch)")
        self.assertEqual([line.get("epoch") for line in self.lines() if "y" in line["values"]], list(epochs.values()))

    def test_metrics_of_one_step_share_a_line_without_those_that_are_none(self):
        self.call("poster.log_metrics({'a': 1, 'b': 'x', 'c': 0.5}, step=3); poster.log_metrics({'d': None}); poster.log_metrics({})")
        (line,) = self.lines()
        self.assertEqual((line["values"], line["step"]), ({"a": 1, "c": 0.5}, 3))

    def test_a_hundred_thousand_metrics_are_all_there(self):
        self.call("for i in range(100000): poster.log_metric('x', i / 7, step=i)")
        self.assertEqual([(line["step"], line["values"]["x"]) for line in self.lines()], [(i, i / 7) for i in range(100000)])


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


class Processes(ClientTest):
    def test_threads_share_a_file_of_whole_lines(self):
        self.call("""
import threading
start = threading.Barrier(16)
def log(number):
    start.wait()
    for i in range(1000): poster.log_metric('t%d' % number, i, step=i)
threads = [threading.Thread(target=log, args=(n,)) for n in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
""")
        self.assertEqual(len(list(self.events.iterdir())), 1)
        steps = {}
        for line in self.lines():
            ((name, value),) = line["values"].items()
            steps.setdefault(name, []).append(value)
        self.assertEqual(steps, {f"t{n}": list(range(1000)) for n in range(16)})

    def test_a_forked_process_has_a_file_of_its_own(self):
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                self.call("""
poster.log_metric('parent', os.getpid())
for _ in range(3):
    if os.fork() == 0:
        poster.log_metric('child', os.getpid())
        if os.fork() == 0: poster.log_metric('grandchild', os.getpid())
        else: os.wait()
        os._exit(0)
    os.wait()
poster.log_metric('parent', os.getpid())
""", python)  # fmt: skip
                for path in self.events.iterdir():
                    pids = {value for line in json_lines(path) for value in line["values"].values()}
                    self.assertEqual(pids, {int(path.name.split(".")[-2])})
                names = sorted(name for line in self.lines() for name in line["values"])
                self.assertEqual(names, ["child"] * 3 + ["grandchild"] * 3 + ["parent"] * 2)
                for path in self.events.iterdir():
                    path.unlink()

    def test_a_fork_beside_threads_that_log_does_not_hang(self):
        self.call("""
import threading
stop = threading.Event()
def log():
    while not stop.is_set(): poster.log_metric('thread', 1.5)
threads = [threading.Thread(target=log) for _ in range(4)]
for thread in threads: thread.start()
for i in range(50):
    if os.fork() == 0:
        poster.log_metric('child', i)
        os._exit(0)
    os.wait()
stop.set()
""")
        children = [line for line in self.lines() if "child" in line["values"]]
        self.assertEqual(len(children), 50)

    def test_each_way_of_multiprocessing_logs(self):
        for version, python in PYTHONS.items():
            for method in ("fork", "spawn", "forkserver"):
                with self.subTest(python=version, method=method):
                    self.call(f"""
import multiprocessing
def work(i): poster.log_metric('worker', i, step=i)
if __name__ == '__main__':
    with multiprocessing.get_context({method!r}).Pool(3) as pool: pool.map(work, range(10), chunksize=1)
""", python)  # fmt: skip
                    self.assertEqual(sorted(line["step"] for line in self.lines()), list(range(10)))
                    for path in self.events.iterdir():
                        path.unlink()

    def test_the_rank_is_found_in_the_environment(self):
        cases = [({"RANK": "2"}, 2), ({"SLURM_PROCID": "3"}, 3), ({"OMPI_COMM_WORLD_RANK": "1"}, 1), ({"PMI_RANK": "0"}, 0),
                 ({"RANK": "1", "SLURM_PROCID": "0"}, 1), ({"RANK": "gold"}, None), ({"RANK": ""}, None), ({}, None)]  # fmt: skip
        for env, rank in cases:
            with self.subTest(env):
                self.call("poster.log_metric('x', 1); poster.log_message('x'); poster.log_metrics({'a': 1}, step=1)", **env)
                self.assertEqual([line.get("rank") for line in self.lines()], [rank] * 3)
                next(self.events.iterdir()).unlink()

    def test_nothing_that_was_logged_is_lost_to_sigkill(self):
        """Eight processes log as fast as they can; each notes what it has logged in memory shared with the test."""
        code = """
import mmap, struct
with open(sys.argv[1], 'r+b') as file: shared = mmap.mmap(file.fileno(), 8)
i = 0
while True:
    poster.log_metric('x', i, step=i)
    i += 1
    struct.pack_into('<q', shared, 0, i)
"""
        program = self.cwd / "program.py"
        program.write_text("import sys, poster" + code)
        pick, started = random.Random(), []
        for number in range(8):
            note = self.tmp / f"note{number}"
            note.write_bytes(bytes(8))
            env = {**self.env, **self.in_run, "PYTHONPATH": str(CLIENT)}
            process = subprocess.Popen([PYTHONS[max(PYTHONS)], str(program), str(note)], env=env)
            self.addCleanup(self._end, process)
            started.append((process, note, pick.randint(1, 20000)))
        logged = lambda note: struct.unpack("<q", note.read_bytes())[0]
        for process, note, least in sorted(started, key=lambda each: each[2]):
            wait_until(lambda: logged(note) >= least)
            process.kill()
        for process, note, _ in started:
            process.wait()
            (path,) = self.events.glob(f"*.{process.pid}.jsonl")
            self.assertTrue(path.read_bytes().endswith(b"\n"))
            steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
            self.assertEqual(steps, list(range(len(steps))))
            self.assertIn(len(steps), (logged(note), logged(note) + 1))

    def test_a_program_that_closes_all_descriptors_goes_on_logging_and_keeps_its_own_files_clean(self):
        self.call("""
poster.log_metric('x', 1)
os.closerange(3, 1000)
own = open('own.txt', 'w')
poster.log_metric('x', 2)
poster.log_metric('x', 3)
own.write('mine')
""")
        self.assertEqual([line["values"]["x"] for line in self.lines()], [1, 2, 3])
        self.assertEqual((self.cwd / "own.txt").read_text(), "mine")


class Misfortune(ClientTest):
    def test_a_full_disk_is_told_once_and_logging_goes_on_when_there_is_room(self):
        done = self.call("""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
for i in range(1000): poster.log_metric('x', i, step=i)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for i in range(1000, 1010): poster.log_metric('x', i, step=i)
""")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("File too large", done.stderr)
        (path,) = self.events.iterdir()
        lines = path.read_text().splitlines()
        steps = [line["step"] for line in json_lines(path)]
        self.assertLessEqual(len(lines) - len(steps), 1)  # half a line, from where the room ended
        self.assertEqual(steps[-10:], list(range(1000, 1010)))
        self.assertEqual(steps[:-10], list(range(len(steps) - 10)))

    def test_the_half_line_of_a_killed_predecessor_stays_alone(self):
        self.call("""
path = '%s/%s.%d.jsonl' % (os.environ['POSTER_EVENTS_DIR'], os.uname().nodename, os.getpid())
with open(path, 'w') as file: file.write('{"kind":"metric","ti')
poster.log_metric('x', 1)
""")
        (path,) = self.events.iterdir()
        self.assertEqual([line["values"] for line in json_lines(path)], [{"x": 1}])

    def test_a_directory_that_is_not_there_is_told_once(self):
        gone = str(self.tmp / "gone")
        code = "for i in range(9): poster.log_metric('x', i); poster.log_message('x'); poster.log_metrics({'x': 1}); poster.log_config({})"
        done = self.call(code, POSTER_EVENTS_DIR=gone)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(gone, done.stderr)
        self.assertIn("OSError: poster: events", self.call(code, False or None, POSTER_EVENTS_DIR=gone, POSTER_STRICT="1", check=False).stderr)

    def test_images_and_files_that_cannot_be_stored_are_told_once(self):
        (self.run_place / "images").write_text("in the way")
        self.files.rmdir()
        self.files.write_text("in the way")
        done = self.call("for i in range(3): poster.log_image('x', [[1]]); poster.save_file(__file__)\nprint('went on')")
        self.assertEqual(done.stdout, "went on\n")
        self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)
        self.assertEqual(self.lines(), [])


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


class Images(ClientTest):
    def stored(self, path):
        """Size, mode and pixels of a stored image, by Pillow."""
        code = "import sys, json; from PIL import Image; i = Image.open(sys.argv[1]); i.load(); print(json.dumps([i.size, i.mode, i.tobytes().hex()]))"
        done = subprocess.run([VENV_PYTHON, "-c", code, str(path)], stdout=subprocess.PIPE, env=self.env, check=True)
        size, mode, pixels = json.loads(done.stdout)
        return tuple(size), mode, bytes.fromhex(pixels)

    @needs_venv
    def test_arrays_are_stored_pixel_by_pixel(self):
        setup = "import numpy as np\nrandom = np.random.RandomState(3)\n"
        cases = {
            "u8(5, 7)": ("L", "want = image"),
            "u8(5, 7, 1)": ("L", "want = image"),
            "u8(5, 7, 3)": ("RGB", "want = image"),
            "u8(5, 7, 4)": ("RGBA", "want = image"),
            "u8(3, 5, 7)": ("RGB", "want = image.transpose(1, 2, 0)"),
            "u8(1, 5, 7)": ("L", "want = image[0]"),
            "u8(1, 5, 7, 3)": ("RGB", "want = image[0]"),
            "u8(4, 5, 3)": ("RGB", "want = image"),
            "u8(10, 14, 3)[::2, ::2]": ("RGB", "want = image"),
            "u8(5, 7) > 100": ("L", "want = image * 255"),
            "u8(5, 7, 3).astype('int64')": ("RGB", "want = image"),
            "u8(5, 7, 3) / 255": ("RGB", "want = np.rint(image * 255)"),
            "(u8(5, 7, 3) / 255).astype('float16')": ("RGB", "want = np.rint(image.astype('float64') * 255)"),
            "np.array([[0, 1, 0.5, -0.2, 1.2, np.nan]])": ("L", "want = np.array([0, 255, 128, 0, 255, 0])"),
            "u8(5, 7).astype('u2') * 257": ("I;16", "want = image.astype('<u2')"),
        }
        code = setup + "u8 = lambda *shape: random.randint(0, 256, shape).astype('uint8')\n"
        for number, (expression, (_, want)) in enumerate(cases.items()):
            kind = "'<u2'" if "u2" in want else "'uint8'"
            code += f"image = {expression}; poster.log_image('x', image, step={number}); {want}; print(want.astype({kind}).tobytes().hex())\n"
        done = self.call(code, VENV_PYTHON)
        self.assertEqual(done.stderr, "")
        events, expected = self.lines("image"), done.stdout.split()
        for (expression, (mode, _)), event, pixels in zip(cases.items(), events, expected):
            with self.subTest(expression):
                size, found_mode, found = self.stored(self.run_place / event["path"])
                self.assertEqual((event["width"], event["height"], event["format"]), (*size, "png"))
                self.assertEqual(found_mode.replace("I;16B", "I;16"), mode)
                self.assertEqual(found.hex(), pixels)
        self.assertEqual(len(events), len(cases))

    @needs_venv
    def test_lists_are_stored_without_numpy(self):
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                self.call("poster.log_image('x', [[[255, 0, 1], [2, 3, 4]]]); poster.log_image('x', [[0.0, 0.5], [1.0, 2]])", python)
                rgb, grey = (self.stored(self.run_place / line["path"]) for line in self.lines("image"))
                self.assertEqual(rgb, ((2, 1), "RGB", bytes([255, 0, 1, 2, 3, 4])))
                self.assertEqual(grey, ((2, 2), "L", bytes([0, 128, 255, 255])))
                next(self.events.iterdir()).unlink()

    @needs_venv
    def test_images_of_pillow_and_figures_of_matplotlib_are_stored(self):
        self.call("""
from PIL import Image
import matplotlib; matplotlib.use('Agg')
import matplotlib.pyplot as plt
for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'F', 'I;16'):
    poster.log_image(mode, Image.new(mode, (4, 3), 1))
figure, axes = plt.subplots(figsize=(2, 1), dpi=50)
axes.plot([1, 2])
poster.log_image('figure', figure)
poster.log_image('axes', axes)
""", VENV_PYTHON)  # fmt: skip
        events = self.lines("image")
        self.assertEqual([(line["width"], line["height"]) for line in events], [(4, 3)] * 9 + [(100, 50)] * 2)
        for event in events:
            self.assertEqual(self.stored(self.run_place / event["path"])[0], (event["width"], event["height"]))

    @needs_venv
    def test_files_of_images_are_copied_and_known_by_their_content(self):
        self.call("""
import io
from PIL import Image
for kind in ('PNG', 'JPEG', 'GIF', 'WEBP', 'BMP', 'TIFF'):
    Image.new('RGB', (20, 10), 'red').save('image.dat', kind)
    poster.log_image('of path', 'image.dat', step=1)
    poster.log_image('of bytes', open('image.dat', 'rb').read(), step=2)
open('image.dat', 'w').write('<?xml version="1.0"?><svg></svg>')
import pathlib
print(poster.log_image('of path', pathlib.Path('image.dat')))
""", VENV_PYTHON)  # fmt: skip
        events = self.lines("image")
        kinds = [kind for kind in ("png", "jpg", "gif", "webp", "bmp", "tiff") for _ in range(2)] + ["svg"]
        self.assertEqual([line["format"] for line in events], kinds)
        self.assertEqual([pathlib.Path(line["path"]).suffix for line in events], ["." + kind for kind in kinds])
        self.assertEqual([(line.get("width"), line.get("height")) for line in events][:6], [(20, 10)] * 6)
        self.assertEqual((self.run_place / events[-1]["path"]).read_bytes(), (self.cwd / "image.dat").read_bytes())

    def test_an_image_has_a_name_of_its_own_in_the_run_and_nowhere_else(self):
        names = {"a": "a", "a/b c": "a/b c", "../../x": "x", "/etc/x": "etc/x", "..": "image", ".hidden": "hidden", "ä\n*": "ä__", "": "image",
                 "x" * 300: "x" * 200}  # fmt: skip
        self.call(f"for name in {list(names)!r}: poster.log_image(name, [[1]], step=7)")
        paths = [line["path"] for line in self.lines("image")]
        wanted = [f"images/{name}/7.png" for name in names.values()]
        wanted[7] = "images/image/7-1.png"
        self.assertEqual(paths, wanted)
        for path in paths:
            self.assertEqual(os.stat(self.run_place / path).st_mode & 0o777, 0o600)
            self.assertEqual(os.stat((self.run_place / path).parent).st_mode & 0o777, 0o700)

    def test_an_image_of_the_same_step_replaces_none(self):
        self.call("""
for _ in range(2):
    for i in range(3): poster.log_image('x', [[i]], step=5, caption='a "b"', notify=i == 2)
poster.log_images('many', [[[1]], [[2]]], step=6, captions=['one'])
if os.fork() == 0: poster.log_image('x', [[9]], step=5); os._exit(0)
os.wait()
""")
        events = self.lines("image")
        paths = sorted(line["path"] for line in events if line["name"] == "x")
        self.assertEqual(paths, sorted(["images/x/5.png"] + [f"images/x/5-{i}.png" for i in range(1, 7)]))
        self.assertEqual([line.get("caption") for line in events if line["name"] == "many"], ["one", None])
        self.assertEqual([line.get("notify") for line in events if line["name"] == "x"][:3], [None, None, True])

    def test_a_link_does_not_lead_an_image_out_of_the_run(self):
        (self.run_place / "images").mkdir()
        (self.run_place / "images" / "out").symlink_to(self.tmp / "home")
        self.assertIn("leads out", self.call("poster.log_image('out/x', [[1]])").stderr)
        self.assertEqual(os.listdir(self.tmp / "home"), [])


class Files(ClientTest):
    def test_a_file_is_copied_at_once(self):
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                self.call("""
with open('model.pt', 'wb') as file: file.write(b'first' * 100000)
print(poster.save_file('model.pt'))
with open('model.pt', 'wb') as file: file.write(b'second')
poster.save_file('model.pt', name='best/model.pt')
poster.save_file('model.pt', name='again'); poster.save_file(__file__, name='again')
""", python)  # fmt: skip
                events = [(line["name"], line["path"], line["bytes"]) for line in self.lines("file")]
                size = os.stat(self.cwd / "program.py").st_size
                self.assertEqual(events, [("model.pt", "files/model.pt", 500000), ("best/model.pt", "files/best/model.pt", 6),
                                          ("again", "files/again", 6), ("again", "files/again", size)])  # fmt: skip
                self.assertEqual((self.files / "model.pt").read_bytes(), b"first" * 100000)
                self.assertEqual((self.files / "best" / "model.pt").read_bytes(), b"second")
                self.assertEqual((self.files / "again").read_bytes(), (self.cwd / "program.py").read_bytes())
                self.assertEqual(os.stat(self.files / "model.pt").st_mode & 0o777, 0o600)
                self.assertEqual(sorted(path.name for path in self.files.iterdir()), ["again", "best", "model.pt"])
                next(self.events.iterdir()).unlink()

    def test_a_folder_is_copied_with_what_its_links_lead_to(self):
        done = self.call("""
os.makedirs('out/sub/empty')
open('out/a', 'w').write('12345'); open('out/sub/b', 'w').write('1'); os.chmod('out/a', 0o755)
open('blob', 'w').write('123')
os.symlink('../blob', 'out/link'); os.symlink('/nowhere', 'out/dangling'); os.symlink('..', 'out/sub/up'); os.mkfifo('out/pipe')
print(poster.save_file('out/'))
print(poster.save_file('out', name='out'))
""")
        self.assertEqual(done.stderr, "")
        event = self.lines("file")[-1]
        self.assertEqual([event[key] for key in ("name", "path", "bytes", "directory", "files")], ["out", "files/out", 9, True, 3])
        found = sorted(str(path.relative_to(self.files)) for path in self.files.rglob("*"))
        self.assertEqual(found, ["out", "out/a", "out/link", "out/sub", "out/sub/b", "out/sub/empty"])
        self.assertFalse((self.files / "out" / "link").is_symlink())
        self.assertEqual(os.stat(self.files / "out" / "a").st_mode & 0o777, 0o700)

    def test_a_file_takes_the_place_of_a_folder_and_the_other_way_round(self):
        self.call("os.mkdir('d'); open('d/x', 'w').write('1'); poster.save_file('d', 'n'); poster.save_file(__file__, 'n'); poster.save_file('d', 'n')")
        self.assertEqual([line["path"] for line in self.lines()], ["files/n"] * 3)
        self.assertEqual(os.listdir(self.files), ["n"])
        self.assertEqual((self.files / "n" / "x").read_text(), "1")

    def test_a_project_is_saved_without_its_store(self):
        store = self.cwd / "store"
        store.mkdir()
        (store / "huge").write_text("x")
        self.call("poster.save_file('.', name='project')", POSTER_STORE_DIR=str(store))
        self.assertEqual(sorted(os.listdir(self.files / "project")), ["program.py"])

    def test_what_was_written_into_the_run_itself_is_not_copied(self):
        self.call("open(poster.files_dir + '/x', 'w').write('123'); print(poster.save_file(poster.files_dir + '/x'))")
        (line,) = self.lines("file")
        self.assertEqual((line["path"], line["bytes"]), ("files/x", 3))

    def test_a_name_cannot_lead_out_of_the_files(self):
        (self.files / "out").symlink_to(self.tmp / "home")
        (self.files / "link").symlink_to(self.tmp / "home" / "target")
        for name in ("../x", "a/../../x", "/etc/x", str(self.tmp / "x"), ".", "..", "out/x", "out/../../x", "a\0b"):
            with self.subTest(name):
                done = self.call(f"print(poster.save_file(__file__, name={name!r}))")
                self.assertEqual(done.stdout, "None\n")
                self.assertIn("cannot be saved", done.stderr)
        self.call("poster.save_file(__file__, name='link')")
        self.assertEqual(os.listdir(self.tmp / "home"), [])
        self.assertFalse((self.files / "link").is_symlink())
        self.assertEqual(sorted(os.listdir(self.run_place)), ["attempts", "files"])


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
        self.launch(PYTHONS[max(PYTHONS)], "-c", code)
        lines = [line for path in (self.attempt_dir() / "events").iterdir() for line in json_lines(path) if line["kind"] == "metric"]
        self.assertEqual(sorted((line["rank"], line["values"]["x"]) for line in lines), [(r, r + 0.5) for r in range(4)])

    def test_the_second_attempt_knows_that_it_is_one(self):
        (self.cwd / "train.py").write_text(
            "import poster, sys\nprint(poster.attempt, poster.resumed)\nopen(poster.checkpoint_dir + '/c', 'a').write('x')\nsys.exit(poster.attempt == 1)"
        )
        self.launch(PYTHONS[max(PYTHONS)], "train.py")
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
        done = subprocess.run([PYTHONS[max(PYTHONS)], "train.py"], cwd=self.cwd, env=self.env, stdout=subprocess.PIPE, check=True)
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


@poster_only
class Secrets(ClientTest):
    """The client's rules and those of the binary are the same: both judge the same names and values."""

    NAME_LISTS = (HERE.parent.parent / "src" / "run" / "secret_names.cpp").read_text()
    VALUES = "hunter2hunter loss 12 123456 1e-5 ./a/b /etc/x/y /a+b/c [PAD] <x> basic Bearer $HOME ${a.b} ${a}b true None passw0rd secret"

    def names(self, count):
        """Made of the words of the rules themselves and of others, in every spelling."""
        pick = random.Random(5)
        vocabulary = sorted(set(re.findall(r'"([a-z]{1,15})"', self.NAME_LISTS)))
        telling = ["key", "keys", "token", "tokens", "auth", "pass", "pat", "password", "secret", "pwd"]
        for _ in range(count):
            words = pick.choices(vocabulary + ["lr", "mixer", "id", "foo"], k=pick.randint(0, 3))
            words.insert(pick.randint(0, len(words)), pick.choice(telling + vocabulary))
            words[-1] += pick.choice(["", "", "", "2", "10"])
            style = pick.randrange(6)
            if style == 0:
                yield "".join(word.capitalize() for word in words)
            elif style == 1:
                yield words[0] + "".join(pick.choice([word.capitalize(), word.upper()]) for word in words[1:])
            elif style == 2:
                yield "_".join(words).upper()
            else:
                yield "".join(word + pick.choice(["_", "_", "-", ".", "/", ":", "@", ""]) for word in words).rstrip("-._/:@")

    def of_binary(self, pairs):
        """What a run's record makes of the arguments NAME=VALUE."""
        self.fresh_store()
        self.launch("true", *[f"{name}={value}" for name, value in pairs])
        return self.run_json()["argv"][1:]

    def of_client(self, pairs):
        (self.cwd / "pairs.json").write_text(json.dumps(pairs))
        code = "import json\nfor n, v in json.load(open('pairs.json')): print(n + '=' + poster._redacted(n, v))"
        return self.call(code).stdout.splitlines()

    def compare(self, pairs):
        binary, client = self.of_binary(pairs), self.of_client(pairs)
        self.assertEqual((len(binary), len(client)), (len(pairs), len(pairs)))
        differing = [each for each in zip(pairs, binary, client) if each[1] != each[2]]
        self.assertEqual(differing, [])

    def test_names_are_judged_as_by_the_binary(self):
        pick = random.Random(7)
        names = sorted(set(self.names(6000)) | {"PWD", "OLDPWD", "pwd", "key", "token", "sort.key", "+wandb.api_key"})
        pairs = [(name, pick.choice(self.VALUES.split())) for name in names]
        self.compare(pairs)
        redacted = sum("<redacted>" in line for line in self.of_client(pairs))
        self.assertTrue(0.1 * len(pairs) < redacted < 0.9 * len(pairs), redacted)

    def test_values_that_look_secret_are_left_out_as_by_the_binary(self):
        body = "aB3dE6gH1jK4mN7pQ9sT2vW5yZ8" * 4
        prefixes = re.findall(r'{"([^"]+)", Body::', (HERE.parent.parent / "src" / "run" / "secret_shapes.cpp").read_text())
        self.assertGreater(len(prefixes), 40)
        values = [prefix + end for prefix in prefixes for end in (body[:40], body[:40].upper(), body[:4], "abcdefgh" * 5)]
        values += [f"before {prefix}{body[:40].upper()} after" for prefix in prefixes] + [f"x{prefix}{body[:40]}" for prefix in prefixes]
        values += ["eyJ" + body[:20] + "." + body[:30] + "." + body[:20], "123456789:" + body[:35], "bot123456789:" + body[:35], "12:ab"]
        values += ["https://ada:" + body[:9] + "@host/x", "https://ada@host/x", "https://hooks.slack.com/services/T0/B0/xyz"]
        values += ["-----BEGIN RSA " + "PRIVATE KEY-----\nabc\n-----END RSA " + "PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"]
        self.compare([("x", value.replace("\n", " ")) for value in values])

    def test_parameters_are_redacted_before_they_are_written(self):
        self.call("poster.log_config({'lr': .1, 'api_key': 'hunter2', 'db': {'password': 12345}, 'keys': ['a']})")
        self.call("poster.set_summary(url='https://ada:hunter2@host/')")
        (config,), (summary,) = self.lines("config"), self.lines("summary")
        values = {"lr": 0.1, "api_key": "<redacted>", "db": {"password": "<redacted>"}, "keys": ["a"]}
        self.assertEqual(config["values"], values)
        self.assertEqual(summary["values"], {"url": "https://ada:<redacted>@host/"})


if __name__ == "__main__":
    main()
