"""The Python client: images and files."""

import json
import os
import pathlib
import subprocess

from client_case import PYTHONS, ClientTest
from harness import VENV_PYTHON, main, needs_venv


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
                self.call(
                    "poster.log_image('x', [[[255, 0, 1], [2, 3, 4]]]); poster.log_image('x', [[0.0, 0.5], [1.0, 2]])",
                    python,
                )
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
        self.assertEqual(
            [event[key] for key in ("name", "path", "bytes", "directory", "files")], ["out", "files/out", 9, True, 3]
        )
        found = sorted(str(path.relative_to(self.files)) for path in self.files.rglob("*"))
        self.assertEqual(found, ["out", "out/a", "out/link", "out/sub", "out/sub/b", "out/sub/empty"])
        self.assertFalse((self.files / "out" / "link").is_symlink())
        self.assertEqual(os.stat(self.files / "out" / "a").st_mode & 0o777, 0o700)

    def test_a_file_takes_the_place_of_a_folder_and_the_other_way_round(self):
        self.call(
            "os.mkdir('d'); open('d/x', 'w').write('1'); poster.save_file('d', 'n'); poster.save_file(__file__, 'n'); poster.save_file('d', 'n')"
        )
        self.assertEqual([line["path"] for line in self.lines()], ["files/n"] * 3)
        self.assertEqual(os.listdir(self.files), ["n"])
        self.assertEqual((self.files / "n" / "x").read_text(), "1")

    def test_a_project_is_saved_without_its_store(self):
        store = self.cwd / "store"
        store.mkdir()
        (store / "huge").write_text("x")
        self.call("poster.save_file('.', name='project')", POSTER_STORE_DIR=str(store))
        self.assertEqual(sorted(os.listdir(self.files / "project")), ["program.py"])

    def test_a_run_is_saved_into_itself_without_the_copies(self):
        self.call("poster.save_file(poster.run_dir, 'run'); poster.save_file(poster.run_dir, 'run')")
        found = sorted(str(path.relative_to(self.files)) for path in self.files.rglob("*") if path.is_dir())
        self.assertEqual(found, ["run", "run/attempts", "run/attempts/1", "run/attempts/1/events"])

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


if __name__ == "__main__":
    main()
