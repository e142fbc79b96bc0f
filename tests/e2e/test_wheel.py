"""The wheel: built, installed and used. It takes minutes and fetches scikit-build-core: only with POSTER_TEST_WHEEL=1."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import zipfile

from client_case import PYTHONS
from harness import HERE, PosterTest, json_lines, main, poster_only

ROOT = HERE.parent.parent


@poster_only
@unittest.skipUnless(os.environ.get("POSTER_TEST_WHEEL") == "1", "POSTER_TEST_WHEEL=1 builds the wheel")
class Wheel(PosterTest):
    @classmethod
    def setUpClass(cls):
        cls.place = pathlib.Path(tempfile.mkdtemp(prefix="poster-wheel-"))
        cls.addClassCleanup(shutil.rmtree, cls.place, ignore_errors=True)
        cls.pip(PYTHONS[max(PYTHONS)], "wheel", "-q", "--no-deps", "-w", cls.place, ROOT)
        (cls.wheel,) = cls.place.glob("*.whl")

    @staticmethod
    def pip(python, *words):
        subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *words], check=True)

    def test_it_holds_the_program_and_the_client_for_every_python_3(self):
        self.assertRegex(self.wheel.name, r"^poster_run-\d+\.\d+\.\d+-py3-none-linux_x86_64\.whl$")
        names = [name for name in zipfile.ZipFile(self.wheel).namelist() if "dist-info" not in name]
        self.assertEqual(sorted(pathlib.Path(name).name for name in names), ["poster", "poster.py"])

    def test_installed_it_serves_a_plain_python_and_a_run(self):
        for version in {min(PYTHONS), max(PYTHONS)}:
            with self.subTest(python=version):
                self.fresh_store()
                venv = self.tmp / f"venv-{version[1]}"
                subprocess.run([PYTHONS[version], "-m", "venv", venv], check=True)
                self.pip(venv / "bin" / "python", "install", "-q", "--no-index", self.wheel)
                (self.cwd / "train.py").write_text("import poster; poster.log_metric('x', 1); print(poster.active)")
                plain = subprocess.run(
                    [venv / "bin" / "python", "train.py"], cwd=self.cwd, env=self.env, stdout=subprocess.PIPE
                )
                self.assertEqual((plain.returncode, plain.stdout), (0, b"False\n"))
                done = self.launch(venv / "bin" / "python", "train.py", program=venv / "bin" / "poster")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"True\n", b""))
                (path,) = (self.attempt_dir() / "events").glob("*.[0-9]*.jsonl")
                self.assertIn({"x": 1}, [line.get("values") for line in json_lines(path)])


if __name__ == "__main__":
    main()
