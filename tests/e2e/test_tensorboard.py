"""Event files of TensorBoard that the child writes become metrics and images of the run."""

import os
import signal
import subprocess
import textwrap

from harness import VENV_PYTHON, PosterTest, json_lines, main, needs_venv, poster_only, wait_until

X_WRITER = """
import sys, time
from tensorboardX import SummaryWriter
w = SummaryWriter(sys.argv[1], flush_secs=0.1)
"""
OWN_WRITER = """
import sys, time
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
"""


@poster_only
@needs_venv
class TensorBoard(PosterTest):
    def python(self, *parts):
        path = self.cwd / "train.py"
        path.write_text("\n".join(map(textwrap.dedent, parts)))
        return [VENV_PYTHON, str(path)]

    def events(self, kind=None, run=None, number=1):
        folder = self.attempt_dir(run, number) / "events"
        lines = [line for file in sorted(folder.glob("*.tensorboard.jsonl")) for line in json_lines(file)]
        return [line for line in lines if kind is None or line["kind"] == kind]

    def points(self, name, **which):
        return [(e["step"], e["values"][name]) for e in self.events("metric", **which) if name in e["values"]]

    def test_scalars_of_tensorboardx_are_metrics_with_their_own_time_and_step(self):
        script = """
            for i in range(3000):
                w.add_scalar("loss/train", 1 / (i + 1), i, walltime=1790000000.25 + i)
            w.add_scalar("odd", float("nan"), 7)
            w.add_scalar("odd", float("-inf"), 8)
            w.close()
        """
        self.assertEqual(self.launch(*self.python(X_WRITER, script), "runs/a").returncode, 0)
        points = self.points("loss/train")
        self.assertEqual([step for step, _ in points], list(range(3000)))
        self.assertEqual(points[9], (9, 0.1))
        self.assertEqual(self.points("odd"), [(7, "NaN"), (8, "-Infinity")])
        self.assertEqual(self.events("metric")[4]["time"], 1790000004.25)

    def test_points_appear_while_the_command_runs_and_nothing_is_there_twice_at_its_end(self):
        script = """
            import os, time
            for i in range(10):
                w.add_scalar("loss", i, i)
            w.flush()
            while not os.path.exists("go"):
                time.sleep(0.01)
            for i in range(10, 20):
                w.add_scalar("loss", i, i)
            w.close()
        """
        process = self.start(*self.python(X_WRITER, script), "elsewhere/deep/er")
        self.child_pid()
        wait_until(lambda: len(self.points("loss")) == 10, what="the first points")
        (self.cwd / "go").touch()
        self.assertEqual(process.wait(), 0)
        self.assertEqual([step for step, _ in self.points("loss")], list(range(20)))

    def test_a_callback_host_that_was_killed_is_followed_by_one_that_goes_on_where_it_stopped(self):
        script = """
            import os, time
            i = 0
            while not os.path.exists("go"):
                w.add_scalar("loss", i, i)
                i += 1
                time.sleep(0.001)
            w.close()
            print(i)
        """
        process = self.start(*self.python(X_WRITER, script), "runs/a")
        self.child_pid()
        wait_until(lambda: self.points("loss"), what="the first points")
        os.kill(self.host_pid(process.pid), signal.SIGKILL)
        seen = len(self.points("loss"))
        wait_until(lambda: len(self.points("loss")) > seen, what="points from the second host")
        (self.cwd / "go").touch()
        self.assertEqual(process.wait(), 0)
        self.assertEqual([step for step, _ in self.points("loss")], list(range(int(self.log()))))

    def test_tags_of_a_second_folder_are_told_apart_by_it(self):
        script = """
            a, b = SummaryWriter("logs/train"), SummaryWriter("logs/validation")
            a.add_scalar("loss", 1, 1), b.add_scalar("loss", 2, 1)
            a.close(), b.close(), w.close()
        """
        self.launch(*self.python(X_WRITER.replace("w = ", "w = None and "), script.replace(", w.close()", "")), "x")
        self.assertEqual(self.points("loss"), [(1, 1)])
        self.assertEqual(self.points("validation/loss"), [(1, 2)])

    def test_many_files_of_many_writers_are_read(self):
        script = """
            writers = [SummaryWriter(f"many/{i:03}") for i in range(60)]
            for i, it in enumerate(writers):
                for step in range(20):
                    it.add_scalar("v", i, step)
                it.close()
        """
        self.launch(*self.python(X_WRITER.replace("w = ", "w = None and "), script), "x")
        metrics = self.events("metric")
        self.assertEqual(len(metrics), 60 * 20)
        self.assertEqual(len({name for e in metrics for name in e["values"]}), 60)

    def test_images_are_stored_below_the_run_under_a_harmless_name(self):
        script = """
            import numpy
            picture = numpy.zeros((3, 4, 6), dtype=numpy.uint8)
            w.add_image("samples/../../x y", picture, 10)
            w.close()
        """
        self.launch(*self.python(X_WRITER, script), "runs/a")
        (event,) = self.events("image")
        self.assertEqual((event["step"], event["width"], event["height"], event["format"]), (10, 6, 4, "png"))
        path = self.run_dir() / event["path"]
        self.assertEqual(path.read_bytes()[:4], b"\x89PNG")
        self.assertEqual(path.parts[-5:], ("images", "samples", "__", "__", "x_y", "10.png")[-5:])

    def test_tensor_scalars_of_tf2_and_the_file_writer_of_tensorboard_are_read(self):
        script = """
            from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
            from tensorboard.util import tensor_util
            import numpy
            w = EventFileWriter(sys.argv[1])
            for step in range(5):
                for value, tag in ((numpy.float32(step / 2), "f"), (numpy.float64(step), "d"), (numpy.int64(step), "i")):
                    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
                    tensor = tensor_util.make_tensor_proto(value)
                    it = Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
                    w.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[it])))
            w.close()
        """
        self.launch(*self.python(OWN_WRITER, script), "tb")
        for name in "fdi":
            self.assertEqual(self.points(name), [(i, i / 2 if name == "f" else i) for i in range(5)])

    def test_a_command_that_is_killed_leaves_what_it_had_written(self):
        script = """
            import os, signal
            for i in range(100):
                w.add_scalar("loss", i, i)
            w.close()
            (file,) = [os.path.join("runs/a", f) for f in os.listdir("runs/a")]
            with open(file, "ab") as torn:
                torn.write(b"\\x18\\0\\0\\0\\0")
            os.kill(os.getpid(), signal.SIGKILL)
        """
        self.launch(*self.python(X_WRITER, script), "runs/a")
        self.assertEqual(len(self.points("loss")), 100)

    def test_older_files_and_files_that_are_only_read_are_left_alone(self):
        make = self.python(X_WRITER, 'w.add_scalar("old", 1, 1); w.close()')
        self.fresh_store()
        self.launch(*make, "runs/old")
        self.fresh_store()
        script = """
            import glob, shutil
            files = [open(f, "rb") for f in glob.glob("runs/old/*")]
            shutil.copytree("runs/old", "runs/copy")
            time.sleep(1.5)
        """
        self.launch(*self.python("import time", script))
        self.assertEqual(self.events(), [])

    def test_two_runs_in_one_folder_at_the_same_time_keep_their_points_apart(self):
        script = """
            import os
            runs, me, other = sys.argv[1:]
            for i in range(50):
                w.add_scalar(me, i, i)
            w.flush()
            open(me, "w").close()
            while not os.path.exists(other):
                time.sleep(0.01)
            time.sleep(1.5)
            w.close()
        """
        command = self.python(X_WRITER, script)
        both = [self.start(*command, f"runs/{me}", me, other) for me, other in (("a", "b"), ("b", "a"))]
        self.assertEqual([it.wait() for it in both], [0, 0])
        names = [{n for e in self.events("metric", run=run) for n in e["values"]} for run in self.run_dirs()]
        self.assertEqual(sorted(map(sorted, names)), [["a"], ["b"]])

    def test_a_continued_run_takes_only_what_is_new(self):
        script = 'w.add_scalar("loss", 1, len(sys.argv[1:])); w.close(); sys.exit(3)'
        self.launch(*self.python(X_WRITER, script), "runs/a")
        self.poster("continue", "-q", "last")
        self.assertEqual(self.points("loss"), [(1, 1)])
        self.assertEqual(self.points("loss", number=2), [(1, 1)])

    def test_turned_off_it_reads_nothing(self):
        self.env["POSTER_TENSORBOARD_ENABLED"] = "false"
        self.launch(*self.python(X_WRITER, 'w.add_scalar("loss", 1, 1); w.close()'), "runs/a")
        self.assertEqual(self.events(), [])

    def test_an_export_is_what_tensorboard_reads_back(self):
        code = """
            import os, struct, zlib
            def chunk(kind, data):
                return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0))
            png += chunk(b"IDAT", zlib.compress(b"\\0abc\\0def")) + chunk(b"IEND", b"")
            os.makedirs(os.environ["POSTER_RUN_DIR"] + "/images/sample")
            open(os.environ["POSTER_RUN_DIR"] + "/images/sample/5.png", "wb").write(png)
            with open(os.environ["POSTER_EVENTS_DIR"] + f"/h.{os.getpid()}.jsonl", "w") as events:
                for i in range(1000):
                    print('{"kind":"metric","time":%d,"step":%d,"values":{"loss":%f}}' % (1790000000 + i, i, i / 4), file=events)
                print('{"kind":"metric","time":1790000000,"step":3,"values":{"odd":"NaN"}}', file=events)
                print('{"kind":"image","time":1790000001,"step":5,"name":"sample","path":"images/sample/5.png",'
                      '"width":3,"height":2}', file=events)
        """
        self.launch(*self.python(code), options=["--name", "first"])
        for _ in range(2):
            self.poster("export", "--tensorboard", self.tmp / "out", check=0)
        check = """
            import glob, math, sys
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
            (folder,) = glob.glob(sys.argv[1] + "/*-first")
            it = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0})
            it.Reload()
            assert [(e.wall_time, e.step, e.value) for e in it.Scalars("loss")] == [
                (1790000000 + i, i, i / 4) for i in range(1000)]
            assert math.isnan(it.Scalars("odd")[0].value)
            (image,) = it.Images("sample")
            assert (image.step, image.width, image.height, image.encoded_image_string[:4]) == (5, 3, 2, b"\\x89PNG")
        """
        done = subprocess.run([*self.python(check), str(self.tmp / "out")], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    main()
