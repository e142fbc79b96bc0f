"""`poster log`: events from shell scripts."""

import json
import os
import re
import socket
import struct
import subprocess
import time
import zlib

from harness import HERE, POSTER, PosterTest, json_lines, main, needs_program, needs_root, poster_only

SECRET = "sk-abcdefghijklmnopqrstuvwxyz0123456789"


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(width, height):
    """Its headers: an application segment that a reader must pass over, a fill byte, and the start of frame."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xe0" + struct.pack(">H", 600) + bytes(598) + b"\xff\xff\xc2" + struct.pack(">H", 17) + frame


def gif(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(30)


def webp(width, height):
    return b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3] + bytes(8)


def bmp(width, height):
    return b"BM" + bytes(16) + struct.pack("<ii", width, -height) + bytes(30)


@poster_only
class Log(PosterTest):
    def setUp(self):
        super().setUp()
        (self.tmp / "bin").mkdir()
        (self.tmp / "bin" / "poster").symlink_to(POSTER)
        self.env |= {"PATH": f"{self.tmp / 'bin'}:{self.env['PATH']}"}

    def script(self, text, status=0, **options):
        """Runs it under poster in a store of its own; gives stderr."""
        self.fresh_store()
        done = self.launch("bash", "-c", text, **options)
        self.assertEqual(done.returncode, status, (text, done.stderr))
        return done.stderr.decode()

    def events_file(self):
        return self.attempt_dir() / "events" / f"{socket.gethostname()}.log.jsonl"

    def events(self):
        return json_lines(self.events_file())

    def event(self, text, **options):
        """The only event that the script logs."""
        self.script(text, **options)
        events = self.events()
        self.assertEqual(len(events), 1, events)
        return events[0]

    def stored(self, event):
        """The bytes of what an event says is below the run directory."""
        return (self.run_dir() / event["path"]).read_bytes()

    def test_metrics_of_one_call_are_one_line_in_the_documented_form(self):
        self.script("poster log metric loss=0.3 acc=0.9 --step 10 --epoch 1")
        line = self.events_file().read_text()
        self.assertRegex(
            line,
            r'^\{"kind":"metric","time":\d{10}\.\d{1,6},"step":10,"epoch":1,"values":\{"loss":0\.3,"acc":0\.9\}\}\n$',
        )

    def test_numbers_are_taken_as_they_are_written(self):
        for word, value in {
            "0.1": 0.1,
            "-3": -3,
            "+3": 3,
            "1e-300": 1e-300,
            "1E5": 1e5,
            ".5": 0.5,
            "9007199254740993": 9007199254740993,
            "nan": "NaN",
            "NaN": "NaN",
            "inf": "Infinity",
            "-Infinity": "-Infinity",
            "1e999": "Infinity",
            "1e-999": 0,
        }.items():
            with self.subTest(word=word):
                self.assertEqual(self.event(f"poster log metric x={word}")["values"], {"x": value})

    def test_the_name_of_a_metric_may_be_anything(self):
        self.assertEqual(self.event("""poster log metric 'a=b "c" ü/é'=1""")["values"], {'a=b "c" ü/é': 1})
        self.assertEqual(self.event(r"poster log metric $'bad\xff'=1")["values"], {"bad\ufffd": 1})

    def test_values_of_config_and_summary_are_typed(self):
        words = {
            "lr=0.1": 0.1,
            "n=3": 3,
            "name=baseline": "baseline",
            "zip=00123": "00123",
            "long=12345678901234567890123": "12345678901234567890123",
            "on=true": True,
            "none=null": None,
            "list=[1,\"a\"]": [1, "a"],
            "text=a=b": "a=b",
            "empty=": "",
            "bad=nan": "NaN",
        }
        for kind in ("config", "summary"):
            event = self.event(f"poster log {kind} " + " ".join(f"'{word}'" for word in words))
            self.assertEqual(event["kind"], kind)
            self.assertEqual(event["values"], {word.split("=")[0]: value for word, value in words.items()})

    def test_secrets_are_not_written(self):
        self.script(
            f"poster log config api_key=hunter2 url=http://me:hunter2@host/ key={SECRET}; poster log summary password=hunter2;"
            f"poster log message my key is {SECRET}; poster log notify {SECRET}"
        )
        text = self.events_file().read_text()
        self.assertEqual(text.count("<redacted>"), 6, text)
        self.assertNotIn("hunter2", text)
        self.assertNotIn(SECRET, text)

    def test_messages_have_a_level(self):
        event = self.event("poster log message half way there --level warning")
        self.assertEqual((event["level"], event["text"]), ("warning", "half way there"))
        event = self.event("poster log message -- '-5 degrees'")
        self.assertEqual((event["level"], event["text"]), ("info", "-5 degrees"))
        self.assertEqual(self.event("poster log notify 'all done'")["text"], "all done")

    def test_the_rank_is_told(self):
        for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
            self.assertEqual(self.event(f"{name}=3 poster log metric x=1")["rank"], 3)
        self.assertEqual(self.event("RANK=1 SLURM_PROCID=3 poster log metric x=1")["rank"], 1)
        self.assertNotIn("rank", self.event("RANK=none poster log metric x=1"))

    def test_a_file_is_copied_into_the_run(self):
        (self.cwd / "model.pt").write_bytes(b"weights")
        event = self.event("poster log file model.pt; echo changed > model.pt")
        self.assertEqual((event["name"], event["path"], event["bytes"]), ("model.pt", "files/model.pt", 7))
        self.assertEqual(self.stored(event), b"weights")
        event = self.event("poster log file model.pt --name checkpoints/10.pt")
        self.assertEqual(event["path"], "files/checkpoints/10.pt")
        self.assertEqual(self.stored(event), b"changed\n")
        for path in self.run_dir().joinpath("files").rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_a_second_copy_replaces_the_first_whatever_it_was(self):
        self.script(
            "mkdir d; echo one > d/one; echo two > two;"
            "poster log file d --name x; rm d/one; echo new > d/new; poster log file d --name x;"
            "poster log file two --name x; poster log file d --name x"
        )
        self.assertEqual(os.listdir(self.run_dir() / "files" / "x"), ["new"])
        self.assertEqual(os.listdir(self.run_dir() / "files"), ["x"], "something was left behind")

    def test_a_folder_is_copied_with_what_is_in_it(self):
        event = self.event(
            "mkdir -p d/sub; echo x > d/sub/x; ln -s sub/x d/inside; ln -s ../out d/outside; echo out > out;"
            "ln -s ../../../etc d/etc; mkfifo d/pipe; ln -s nowhere d/broken; poster log file d/"
        )
        folder = self.run_dir() / event["path"]
        self.assertEqual((event["name"], event["directory"], event["files"], event["bytes"]), ("d", True, 2, 6))
        self.assertEqual(os.readlink(folder / "inside"), "sub/x")
        self.assertFalse((folder / "outside").is_symlink())
        self.assertEqual((folder / "outside").read_text(), "out\n")
        self.assertFalse((folder / "etc").exists())
        self.assertFalse((folder / "pipe").exists())

    def test_what_stands_in_the_runs_files_already_is_not_copied(self):
        event = self.event('echo x > "$POSTER_FILES_DIR/x"; poster log file "$POSTER_FILES_DIR/x"')
        self.assertEqual((event["path"], event["bytes"]), ("files/x", 2))
        event = self.event('mkdir "$POSTER_FILES_DIR/d"; echo x > "$POSTER_FILES_DIR/d/x"; poster log file "$POSTER_FILES_DIR/d"')
        self.assertEqual((event["path"], event["files"], event["bytes"]), ("files/d", 1, 2))

    def test_a_folder_that_holds_the_run_is_refused(self):
        self.assertIn("into itself", self.script('cd "$POSTER_RUN_DIR"; poster log file ..; test $? = 1'))

    def test_images_are_copied_and_measured(self):
        for ending, content in {"png": png, "jpg": jpeg, "gif": gif, "webp": webp, "bmp": bmp}.items():
            with self.subTest(ending=ending):
                (self.cwd / "image.bin").write_bytes(content(300, 200))
                event = self.event("poster log image samples image.bin --step 10 --caption 'a b'")
                self.assertEqual(
                    {key: event[key] for key in ("name", "path", "step", "caption", "width", "height", "format")},
                    {
                        "name": "samples",
                        "path": f"images/samples/10.{ending}",
                        "step": 10,
                        "caption": "a b",
                        "width": 300,
                        "height": 200,
                        "format": ending,
                    },
                )
                self.assertEqual(self.stored(event), content(300, 200))

    def test_no_image_replaces_another(self):
        (self.cwd / "i.png").write_bytes(png(3, 2))
        self.script(
            "poster log image a i.png --step 1; RANK=2 poster log image a i.png --step 1;"
            "poster log image a i.png; poster log image a i.png; poster log image b/c i.png"
        )
        paths = [event["path"] for event in self.events()]
        self.assertEqual(
            paths, ["images/a/1.png", "images/a/1-1.png", "images/a/image.png", "images/a/image-1.png", "images/b/c/image.png"]
        )
        self.assertEqual(len(list((self.run_dir() / "images").rglob("*.*"))), 5, "a temporary file was left behind")
        for path in paths:
            self.assertEqual((self.run_dir() / path).read_bytes(), png(3, 2))

    def test_no_name_leads_out_of_the_run(self):
        (self.cwd / "i.png").write_bytes(png(3, 2))
        for name in ("..", "../x", "a/../../x", "/tmp/x", ".", "", "a/"):
            for words in (f"file i.png --name '{name}'", f"image '{name}' i.png"):
                with self.subTest(words=words):
                    self.assertIn("is no name", self.script(f"poster log {words}; test $? = 2"))

    def test_wrong_words_are_usage_errors_also_outside_a_run(self):
        for words in (
            "",
            "metrics x=1",
            "metric",
            "metric x",
            "metric =1",
            "metric x=",
            "metric x=abc",
            "metric x=0x10",
            "metric x=1,5",
            "metric x=1 --step 1.5",
            "metric x=1 --step -1",
            "metric x=1 --step",
            "metric x=1 --epoch one",
            "metric x=1 --epoch nan",
            "metric x=1 --caption c",
            "metric x=1 --stepp 1",
            "message",
            "message a --level loud",
            "message a --step 1",
            "config",
            "config lr",
            "summary =1",
            "notify",
            "image a",
            "image a b c",
            "file",
            "file a b --name c",
        ):
            with self.subTest(words=words):
                outside = self.poster(*["log", *words.split()], store=False)
                self.assertEqual((outside.returncode, outside.stdout), (2, b""), outside.stderr)
                self.assertTrue(outside.stderr.startswith(b"poster: "), outside.stderr)
                self.script(f"poster log {words}; test $? = 2")
                self.assertFalse(self.events_file().exists())

    def test_outside_a_run_it_does_nothing(self):
        for words in (
            ["metric", "loss=0.3"],
            ["message", "hello"],
            ["image", "a", "missing.png"],
            ["file", "missing"],
            ["config", "lr=1"],
            ["summary", "best=1"],
            ["notify", "done"],
        ):
            done = self.poster("log", *words, store=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""), words)
        self.assertEqual(list(self.cwd.iterdir()), [])

    def test_what_cannot_be_written_is_an_error(self):
        for text, reason in {
            "POSTER_EVENTS_DIR=/nowhere poster log metric x=1": "/nowhere",
            "poster log file missing": "missing",
            "poster log image a missing.png": "missing.png",
            "mkfifo pipe; poster log file pipe": "pipe",
            "echo text > t; poster log image a t": "not an image",
        }.items():
            with self.subTest(text=text):
                error = self.script(f"{text}; test $? = 1")
                self.assertTrue(error.startswith("poster: "), error)
                self.assertIn(reason, error)

    @needs_root
    def test_a_full_disk_is_told_and_leaves_no_half_file(self):
        place = self.tmp / "small"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no tmpfs can be mounted")
        self.addCleanup(subprocess.run, ["umount", str(place)], check=True)
        (self.cwd / "big").write_bytes(bytes(1 << 20))
        env = {**self.env, "POSTER_EVENTS_DIR": str(place), "POSTER_FILES_DIR": str(place)}
        done = self.poster("log", "file", "big", store=False, env=env)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left on device", done.stderr)
        self.assertEqual(list(place.iterdir()), [])
        with open(place / "filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        done = self.poster("log", "metric", "loss=1", store=False, env=env)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left on device", done.stderr)

    def test_many_calls_at_once_write_whole_lines_into_one_file(self):
        self.script(
            "for i in 1 2 3 4 5 6 7 8; do"
            " (for j in $(seq 50); do poster log metric loss.$i=$j --step $j || exit 1; done) & done; wait"
        )
        lines = [line for line in self.events_file().read_text().split("\n") if line]
        events = [json.loads(line) for line in lines]
        self.assertEqual(len(events), 400)
        for i in range(1, 9):
            mine = [event for event in events if f"loss.{i}" in event["values"]]
            self.assertEqual([event["step"] for event in mine], list(range(1, 51)))
        self.assertEqual(len(list((self.attempt_dir() / "events").iterdir())), 1)


@poster_only
class Languages(PosterTest):
    """The examples of docs/languages.md, where their interpreters are there."""

    def example(self, language):
        page = (HERE.parent.parent / "docs" / "languages.md").read_text()
        return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[-1]

    def check(self, *command):
        self.assertEqual(self.launch(*command).returncode, 0)
        (file,) = (self.attempt_dir() / "events").iterdir()
        self.assertRegex(file.name, rf"^{re.escape(socket.gethostname())}\.\d+\.jsonl$")
        (event,) = json_lines(file)
        self.assertLess(abs(event.pop("time") - time.time()), 600)
        self.assertEqual(event, {"kind": "metric", "step": 1, "values": {"loss": 0.3}})
        done = subprocess.run(command, env=self.env, cwd=self.cwd, capture_output=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""), "outside a run")

    def test_bash(self):
        self.check("bash", "-euc", self.example("bash"))

    @needs_program("rustc")
    def test_rust(self):
        (self.tmp / "main.rs").write_text(self.example("rust"))
        env = {**os.environ, "HOME": os.environ.get("HOME", "/")}
        subprocess.run(["rustc", "--edition", "2021", "-o", self.tmp / "main", self.tmp / "main.rs"], env=env, check=True)
        self.check(self.tmp / "main")

    @needs_program("Rscript")
    def test_r(self):
        self.check("Rscript", "-e", self.example("r"))

    @needs_program("julia")
    def test_julia(self):
        self.check("julia", "-e", self.example("julia"))


if __name__ == "__main__":
    main()
