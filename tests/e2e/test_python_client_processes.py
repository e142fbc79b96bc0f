"""The Python client in threads, forks, ranks and killed processes, and when the disk is full."""

import json
import random
import struct
import subprocess

from client_case import CLIENT, NEWEST, PYTHONS, ClientTest
from harness import json_lines, main, wait_until


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
                self.call(
                    "poster.log_metric('x', 1); poster.log_message('x'); poster.log_metrics({'a': 1}, step=1)", **env
                )
                self.assertEqual([line.get("rank") for line in self.lines()], [rank] * 3)
                next(self.events.iterdir()).unlink()

    def test_the_rank_that_torch_was_told_is_that_of_the_metrics_that_follow(self):
        """A stand-in for torch.distributed after init_process_group(rank=1): nothing is in the environment."""
        self.call("""
import types
poster.log_config({'x': 1})
sys.modules['torch.distributed'] = types.SimpleNamespace(is_initialized=lambda: True, get_rank=lambda: 1)
poster.log_metric('x', 1)
poster.log_config({'x': 1})
print(poster.rank)
""")
        self.assertEqual([line.get("rank") for line in self.lines()], [None, 1, 1])

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
            process = subprocess.Popen([NEWEST, str(program), str(note)], env=env)
            self.addCleanup(self._end, process)
            started.append((process, note, pick.randint(1, 20000)))
        logged = lambda note: struct.unpack("<q", note.read_bytes())[0]
        for process, note, least in sorted(started, key=lambda each: each[2]):
            wait_until(lambda: logged(note) >= least)
            process.kill()
        for process, note, _ in started:
            process.wait()
            (path,) = self.events.glob(f"*.{process.pid}.jsonl")
            *lines, half = path.read_bytes().split(b"\n")  # half of the line that was being written, if anything
            steps = [json.loads(line)["step"] for line in lines]
            self.assertEqual(steps, list(range(len(steps))))
            self.assertIn(len(steps), (logged(note), logged(note) + 1))
            self.assertFalse(half and len(steps) > logged(note))

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
        self.assertIn(
            "OSError: poster: events",
            self.call(code, False or None, POSTER_EVENTS_DIR=gone, POSTER_STRICT="1", check=False).stderr,
        )

    def test_images_and_files_that_cannot_be_stored_are_told_once(self):
        (self.run_place / "images").write_text("in the way")
        self.files.rmdir()
        self.files.write_text("in the way")
        done = self.call(
            "for i in range(3): poster.log_image('x', [[1]]); poster.save_file(__file__)\nprint('went on')"
        )
        self.assertEqual(done.stdout, "went on\n")
        self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)
        self.assertEqual(self.lines(), [])


if __name__ == "__main__":
    main()
