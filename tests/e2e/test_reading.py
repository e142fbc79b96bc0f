"""Reading what runs logged: poster metrics, plot, files and export, on what real children have written."""

import csv
import io
import json
import os
import pathlib
import re
import shlex
import struct
import subprocess
import unicodedata
import zlib

from harness import POSTER, PosterTest, main, needs_program, poster_only, python, wait_until

# Logs lines of JSON as docs/events.md has them: a file of its own per writer.
LOG = """
import json, os, sys
def log(writer, **fields):
    with open(f"{os.environ['POSTER_EVENTS_DIR']}/{writer}.jsonl", "a") as file:
        file.write(json.dumps({"kind": "metric", **fields}, separators=(",", ":")) + "\\n")
"""


def png_size(data):
    """Width and height of a picture, after a check of its checksums and its pixels."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, size = 8, b"", None
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + content)
        if kind == b"IHDR":
            size = struct.unpack(">II", content[:8])
        if kind == b"IDAT":
            packed += content
        at += 12 + length
    assert len(zlib.decompress(packed)) == size[1] * (size[0] * 3 + 1)
    return size


class ReadingTest(PosterTest):
    def log_run(self, code, name=None, check=0):
        done = self.launch(*python(LOG + code), options=["-n", name] if name else [])
        self.assertEqual(done.returncode, check, done.stderr)

    def text(self, *words):
        return self.poster(*words, check=0).stdout.decode()

    def rows(self, *words):
        return list(csv.DictReader(io.StringIO(self.text(*words, "--csv"))))

    def fails(self, *words, status=2):
        done = self.poster(*words)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, b"")
        return done.stderr.decode()


TWO_METRICS = """
for step in range(5):
    log("a", time=1700000000 + step, step=step, epoch=step / 2, values={"loss": 1 / (step + 1), "val/acc": step / 10})
"""


@poster_only
class Metrics(ReadingTest):
    def test_a_summary_has_last_min_max_and_count(self):
        self.log_run(TWO_METRICS)
        self.assertEqual(
            self.text("metrics"),
            "METRIC   LAST  AT STEP  MIN  MAX  COUNT\n"
            "loss      0.2        4  0.2    1      5\n"
            "val/acc   0.4        4    0  0.4      5\n",
        )
        self.assertEqual(
            self.poster_json("metrics", "last")["loss"],
            {
                **{"last": 0.2, "last_step": 4, "last_time": 1700000004},
                **{"min": 0.2, "min_step": 4, "max": 1, "max_step": 0, "count": 5},
            },
        )
        self.assertEqual(self.rows("metrics")[1]["max_step"], "4")

    def test_named_series_are_a_row_per_step(self):
        self.log_run(TWO_METRICS)
        table = self.text("metrics", "last", "loss", "val/*")
        self.assertRegex(table, r"^STEP  EPOCH +TIME +loss  val/acc\n")
        self.assertRegex(table, r"(?m)^ +3 +1.5  2023-11-1\d \d\d:\d\d:23 +0.25 +0.3$")
        rows = self.rows("metrics", "loss", "val/acc")
        self.assertEqual(list(rows[0]), ["step", "epoch", "time", "loss", "val/acc"])
        self.assertEqual(
            rows[1], {"step": "1", "epoch": "0.5", "time": "1700000001", "loss": "0.5", "val/acc": "0.1"}
        )
        self.assertEqual(len(rows), 5)
        self.assertEqual(
            self.poster_json("metrics", "loss")["loss"][2],
            {"step": 2, "epoch": 1, "time": 1700000002, "value": 1 / 3},
        )

    def test_the_tail_has_the_last_points(self):
        self.log_run("for step in range(30): log('a', step=step, values={'loss': step})")
        self.assertEqual(len(self.rows("metrics", "last", "loss", "--tail")), 10)
        self.assertEqual([row["step"] for row in self.rows("metrics", "loss", "-p", "2")], ["28", "29"])
        self.assertEqual([p["step"] for p in self.poster_json("metrics", "-p", "3")["loss"]], [27, 28, 29])

    def test_nan_and_infinities_survive(self):
        self.log_run(
            "log('a', step=1, values={'x': 'NaN'})\n"
            "log('a', step=2, values={'x': float('inf')})\n"
            "log('a', step=3, values={'x': '-Infinity'})"
        )
        self.assertEqual([row["x"] for row in self.rows("metrics", "x")], ["nan", "inf", "-inf"])
        values = [point["value"] for point in self.poster_json("metrics", "x")["x"]]
        self.assertEqual(values, ["NaN", "Infinity", "-Infinity"])
        self.assertEqual(self.poster_json("metrics")["x"]["min"], "-Infinity")

    def test_names_that_csv_must_quote_come_back(self):
        names = ['a,b', 'say "x"', "two\nlines", "äöü"]
        self.log_run(f"log('a', step=1, values=dict.fromkeys({names!r}, 1))")
        self.assertEqual(sorted(row["metric"] for row in self.rows("metrics")), sorted(names))
        self.assertEqual(list(self.rows("metrics", *names)[0])[3:], names)

    def test_points_at_one_step_are_all_kept_and_the_last_is_shown(self):
        self.log_run("for value in range(3): log('a', step=7, values={'x': value})")
        self.assertEqual([row["x"] for row in self.rows("metrics", "x")], ["2"])
        self.assertEqual([point["value"] for point in self.poster_json("metrics", "x")["x"]], [0, 1, 2])

    def test_metrics_without_a_step_share_the_row_of_their_line(self):
        self.log_run("for i in range(3): log('a', time=i + 1, values={'x': i, 'y': -i})")
        self.assertEqual(
            [(row["step"], row["x"], row["y"]) for row in self.rows("metrics", "x", "y")],
            [("", "0", "0"), ("", "1", "-1"), ("", "2", "-2")],
        )

    def test_a_continued_run_is_one_series(self):
        code = """
attempt = int(os.environ["POSTER_ATTEMPT"])
for step in range(0, 6) if attempt == 1 else range(4, 9):
    log(f"a.{attempt}", step=step, values={"loss": attempt * 100 + step})
sys.exit(attempt == 1)
"""
        self.log_run(code, check=1)
        self.poster("continue", "last", "-q", check=0)
        values = [float(row["loss"]) for row in self.rows("metrics", "loss")]
        self.assertEqual(values, [100, 101, 102, 103, 204, 205, 206, 207, 208])
        self.assertEqual(len(self.rows("metrics", "loss", "--attempt", "1")), 6)
        self.assertEqual(self.poster_json("metrics")["loss"]["count"], 9)
        self.assertIn("no attempt 3", self.fails("metrics", "--attempt", "3"))

    def test_ranks_are_kept_apart(self):
        self.log_run("for rank in range(3): log(f'a.{rank}', step=1, rank=rank, values={'loss': rank})")
        self.assertEqual(self.rows("metrics", "loss")[0]["loss"], "0")
        self.assertEqual(self.rows("metrics", "loss", "--rank", "2")[0]["loss"], "2")
        self.assertEqual(list(self.poster_json("metrics", "--rank", "all")), ["loss@0", "loss@1", "loss@2"])

    def test_an_unknown_name_gets_a_suggestion(self):
        self.log_run(TWO_METRICS)
        message = self.fails("metrics", "last", "los")
        self.assertRegex(message, r"run \S+ has no metric 'los'\nposter: help: did you mean 'loss'\?")
        self.assertIn("it has: loss, val/acc", self.fails("metrics", "qqqqqq"))
        self.launch("true")
        self.assertIn("has logged no metrics", self.fails("metrics", "last", "loss", status=1))
        self.assertEqual(self.poster_json("metrics"), {})

    def test_a_first_word_that_is_no_run_is_a_metric(self):
        self.log_run(TWO_METRICS, name="base")
        self.assertEqual(len(self.rows("metrics", "loss")), 5)
        self.assertEqual(len(self.rows("metrics", "base", "loss")), 5)
        end = self.run_dir().name[-1]
        self.log_run(f"log('a', step=1, values={{{end!r}: 5}})")
        self.assertEqual([row[end] for row in self.rows("metrics", end)], ["5"])

    def test_a_run_that_is_running_can_be_read(self):
        self.start(*python(LOG + "log('a', step=1, values={'x': 1}); import time; time.sleep(1000)"))
        self.child_pid()
        wait_until(lambda: self.poster_json("metrics").get("x"))

    def test_a_terminal_gets_a_sample_of_many_rows(self):
        self.log_run("for step in range(1001): log('a', step=step, values={'x': step})")
        words = [POSTER, "metrics", "--store", str(self.store), "x"]
        terminal = self.terminal(*words, raw_argv=True)
        self.assertEqual(terminal.wait(), 0)
        shown = terminal.output.decode()
        self.assertIn("50 of 1001 rows", shown)
        self.assertRegex(shown, r"\n1000 ")
        self.assertEqual(shown.count("\n"), 52)
        self.assertEqual(self.text("metrics", "x").count("\n"), 1002)


CURVES = """
import math
for step in range(200):
    log("a", time=1700000000 + step * 7, step=step, epoch=step // 50,
        values={"loss": 2 * math.exp(-step / 50) + 0.01, "acc": 1 - math.exp(-step / 50), "nan": "NaN"})
"""


@poster_only
class Plot(ReadingTest):
    def setUp(self):
        super().setUp()
        self.log_run(CURVES, name="base")

    def test_a_pipe_gets_plain_text(self):
        lines = self.text("plot", "loss").splitlines()
        self.assertEqual(len(lines), 20)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertRegex(lines[0], r"^━━ loss base")
        self.assertRegex("\n".join(lines), r"[\u2801-\u28ff]{3}")
        self.assertNotIn("\x1b", "\n".join(lines))
        self.assertRegex(lines[-1], r"0 +50 +100 +150 +step")

    def test_curves_are_told_apart_without_colours(self):
        self.log_run(CURVES, name="other")
        text = self.text("plot", "base", "other", "loss", "acc")
        self.assertEqual(text.splitlines()[0], "* loss base  + acc base  o loss other  x acc other")
        self.assertNotRegex(text, r"[\u2801-\u28ff]")

    def test_every_axis_can_be_had(self):
        for axis, marks in (
            ("step", r"0 +50 +100 +150 +step"),
            ("epoch", r"0 +0.5 +1.0 +1.5 +2.0 +2.5 +epoch"),
            ("time", r"\d\d:\d\d +\d\d:\d\d.*time"),
            ("relative", r"time since the start"),
        ):
            with self.subTest(axis=axis):
                self.assertRegex(self.text("plot", "loss", "-x", axis).splitlines()[-1], marks)

    def test_a_logarithmic_axis_has_powers_of_ten(self):
        self.assertRegex(self.text("plot", "loss", "--log"), r"(?m)^0\.1┤")

    def test_what_cannot_be_plotted_is_said(self):
        self.log_run("log('a', step=1, values={'x': -1})", name="other")
        for words, message, status in (
            (["nan"], "has no metric 'nan'", 2),
            (["base", "nan"], "every value is NaN or infinite", 1),
            (["x", "--log"], "no value is above zero", 1),
            (["x", "-x", "epoch"], "no point tells its epoch", 1),
            (["base", "other"], "'other' is a run", 2),
            (["base", "lss"], "did you mean 'loss'?", 2),
            (["x", "-o", "x.pdf"], "cannot make a picture of that kind", 2),
            (["x", "-o", "x.png", "--size", "20x20"], "a picture has 200 to 8000 pixels", 2),
        ):
            with self.subTest(words=words):
                self.assertIn(message, self.fails("plot", *words, status=status))
        self.assertEqual(list(self.cwd.iterdir()), [])

    def test_a_picture_is_written_whole(self):
        self.text("plot", "base", "loss", "acc", "-o", "a.png", "--smooth", "0.8")
        self.assertEqual(png_size((self.cwd / "a.png").read_bytes()), (1200, 720))
        self.text("plot", "base", "loss", "-o", "a.png", "--size", "400x300")
        self.assertEqual(png_size((self.cwd / "a.png").read_bytes()), (400, 300))
        self.text("plot", "base", "loss", "-o", "a.svg")
        self.assertRegex((self.cwd / "a.svg").read_text(), r"(?s)^<svg .*>loss base</text>.*</svg>\n$")
        self.assertEqual(sorted(path.name for path in self.cwd.iterdir()), ["a.png", "a.svg"])
        self.assertIn("No such file", self.fails("plot", "base", "loss", "-o", "none/a.svg", status=1))


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@poster_only
@needs_program("tmux")
class PlotOnATerminal(ReadingTest):
    def tmux(self, *words):
        env = {name: value for name, value in self.env.items() if name != "TMUX"}
        return subprocess.run(
            ["tmux", "-S", str(self.tmp / "tmux"), *words], env=env, cwd=self.cwd, capture_output=True
        ).stdout.decode()

    def setUp(self):
        super().setUp()
        self.addCleanup(self.tmux, "kill-server")

    def screen_with(self, width, words):
        session = f"wide{width}"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", session, "-x", str(width), "-y", "30", "sh")
        line = shlex.join([POSTER, "plot", "--store", str(self.store), *words])
        self.tmux("send-keys", "-t", session, f"PS1=; clear; {line}; echo left with $?", "Enter")
        wait_until(lambda: re.search(r"left with \d", self.tmux("capture-pane", "-p", "-t", session)))
        return self.tmux("capture-pane", "-p", "-e", "-t", session)

    def test_it_fits_terminals_of_any_width(self):
        self.log_run(CURVES, name="base")
        for width in (40, 80, 131, 300):
            with self.subTest(width=width):
                screen = self.screen_with(width, ["base", "loss", "acc", "--smooth", "0.5"])
                self.assertIn("left with 0", screen)
                self.assertRegex(screen, "\x1b\\[3[56]m")
                self.assertRegex(screen, "\x1b\\[(?:0;)?2")
                lines = re.sub(r"\x1b\[[0-9;]*m", "", screen).splitlines()
                axis = [line for line in lines if "└" in line]
                self.assertEqual([columns(line) for line in axis], [width])
                self.assertEqual(sum("┤" in line or "│" in line for line in lines), 30 - 1 - 3)

    def test_no_color_is_heeded(self):
        self.log_run(CURVES)
        self.env["NO_COLOR"] = "1"
        screen = self.screen_with(60, ["loss"])
        self.assertNotRegex(screen, "\x1b\\[3[0-9]m")
        self.assertRegex(screen, r"[\u2801-\u28ff]{3}")


@poster_only
class Files(ReadingTest):
    def test_what_was_saved_is_listed_with_its_size_and_step(self):
        self.log_run(
            """
run = os.path.dirname(os.environ["POSTER_FILES_DIR"])
def event(**fields):
    with open(f"{os.environ['POSTER_EVENTS_DIR']}/a.jsonl", "a") as file:
        file.write(json.dumps(fields, separators=(",", ":")) + "\\n")
def save(path, size):
    os.makedirs(os.path.dirname(f"{run}/{path}"), exist_ok=True)
    open(f"{run}/{path}", "wb").write(b"x" * size)
save("files/model.pt", 2000)
event(kind="file", time=1700000000, name="model", path="files/model.pt", bytes=1000, step=1)
event(kind="file", time=1700000060, name="model", path="files/model.pt", bytes=2000, step=2)
save("files/data/a", 10)
save("files/data/b", 20)
event(kind="file", name="data", path="files/data", directory=True, files=2)
save("images/samples/10.png", 5)
event(kind="image", name="samples", path="images/samples/10.png", step=10, caption="ten")
save("files/sub/unlogged.txt", 7)
event(kind="file", name="lost", path="files/lost.pt", bytes=4)
event(kind="file", name="bad", path="../../etc/passwd")
log("a", step=1, values={"loss": 1})
""",
        )
        found = {file["path"]: file for file in self.poster_json("files")}
        self.assertEqual(
            sorted(found),
            ["files/data", "files/lost.pt", "files/model.pt", "files/sub/unlogged.txt", "images/samples/10.png"],
        )
        model = found["files/model.pt"]
        self.assertEqual(
            [model[key] for key in ("name", "bytes", "step", "time", "exists")],
            ["model", 2000, 2, "2023-11-14T22:14:20.000Z", True],
        )
        self.assertEqual(pathlib.Path(model["file"]).read_bytes(), b"x" * 2000)
        self.assertEqual((found["files/data"]["bytes"], found["files/data"]["directory"]), (30, True))
        self.assertEqual(found["images/samples/10.png"]["caption"], "ten")
        self.assertFalse(found["files/lost.pt"]["exists"])
        self.assertEqual(found["files/sub/unlogged.txt"]["name"], "sub/unlogged.txt")
        text = self.text("files")
        self.assertRegex(text, r"(?m)^model +2.0 kB +2 +\S+ ago +files/model.pt$")
        self.assertRegex(text, r"(?m)^data +30 B in 2 ")
        self.assertRegex(text, r"(?m)^lost +gone ")

    def test_patterns_and_all_choose_files(self):
        self.log_run("[open(os.environ['POSTER_FILES_DIR'] + '/' + name, 'w') for name in ('a.pt', 'b.pt', 'c.txt')]")
        names = lambda *words: [file["name"] for file in self.poster_json("files", *words)]
        self.assertEqual(names(), ["a.pt", "b.pt", "c.txt"])
        self.assertEqual(names("*.pt"), ["a.pt", "b.pt"])
        self.assertEqual(names("last", "files/a.pt", "c.txt"), ["a.pt", "c.txt"])
        self.assertEqual(names("none"), [])
        self.assertIn("attempts/1/output.log", names("--all"))
        self.assertIn("saved nothing like that", self.poster("files", "none", check=0).stderr.decode())


@poster_only
class Export(ReadingTest):
    def setUp(self):
        super().setUp()
        self.log_run(
            "log('a', time=5, step=1, epoch=0.5, rank=2, values={'loss': 0.1, 'a,b': 'NaN'})\n"
            "open(os.environ['POSTER_EVENTS_DIR'] + '/b.jsonl', 'w').write("
            "  '{\"kind\":\"message\",\"text\":\"hello\"}\\n"
            '{"kind":"metric","values":{"x":NaN,"y":1}}\\n'
            "rubbish\\n{broken\\n{}\\n{\"kind\":\"mess')",
            name="one, two",
        )
        self.log_run("for step in range(3): log('a', step=step, values={'loss': step})")
        self.second, self.first = (row["id"] for row in self.poster_json("ls"))

    def test_csv_has_a_line_per_value(self):
        rows = list(csv.reader(io.StringIO(self.text("export", "--csv"))))
        self.assertEqual(
            rows,
            [
                ["run", "name", "attempt", "rank", "step", "epoch", "time", "metric", "value"],
                [self.first, "one, two", "1", "2", "1", "0.5", "5", "loss", "0.1"],
                [self.first, "one, two", "1", "2", "1", "0.5", "5", "a,b", "nan"],
                [self.first, "one, two", "1", "", "", "", "", "x", "nan"],
                [self.first, "one, two", "1", "", "", "", "", "y", "1"],
                *[[self.second, "", "1", "", str(i), "", "", "loss", str(i)] for i in range(3)],
            ],
        )
        self.assertEqual(len(self.text("export", "--csv", "last").splitlines()), 4)
        only = self.text("export", "--csv", "-m", "a*", "-m", "y").splitlines()
        self.assertEqual([line.rpartition(",")[2] for line in only[1:]], ["nan", "1"])

    def test_jsonl_has_the_events_as_valid_json(self):
        def strict(constant):
            raise ValueError(constant)

        lines = [json.loads(line, parse_constant=strict) for line in self.text("export", "--jsonl").splitlines()]
        self.assertEqual([line["run"] for line in lines], [self.first] * 3 + [self.second] * 3)
        self.assertEqual(lines[1], {"run": self.first, "attempt": 1, "kind": "message", "text": "hello"})
        self.assertEqual(lines[2]["values"], {"x": "NaN", "y": 1})
        lines = list(map(json.loads, self.text("export", "--jsonl", "-m", "loss").splitlines()))
        self.assertEqual([line["values"] for line in lines], [{"loss": 0.1}, *({"loss": i} for i in range(3))])

    def test_a_file_is_written_whole(self):
        self.text("export", "--csv", "-o", "all.csv")
        self.assertEqual((self.cwd / "all.csv").read_text(), self.text("export", "--csv"))
        self.assertEqual((self.cwd / "all.csv").stat().st_mode & 0o777, 0o666 & ~self.umask())
        self.assertEqual([path.name for path in self.cwd.iterdir()], ["all.csv"])
        self.fails("export", "--csv", "nosuchrun", "-o", "all.csv")
        self.assertEqual(len((self.cwd / "all.csv").read_text().splitlines()), 8)

    @staticmethod
    def umask():
        mask = os.umask(0o022)
        os.umask(mask)
        return mask


if __name__ == "__main__":
    main()
