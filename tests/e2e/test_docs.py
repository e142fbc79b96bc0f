"""The documentation: the command that opens each page works as pasted, and nothing lacks a page."""

import pathlib
import re
import shutil
import subprocess

from harness import HERE, POSTER, PosterTest, main, poster_only, wait_until

ROOT = HERE.parent.parent
PAGES = sorted([*(ROOT / "docs" / "commands").glob("*.md"), *(ROOT / "docs" / "callbacks").glob("*.md")])


def opening_command(page):
    block = re.search(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return block.group(1) if block else ""


@poster_only
class Docs(PosterTest):
    def setUp(self):
        super().setUp()
        (self.tmp / "bin").mkdir(exist_ok=True)
        (self.tmp / "bin" / "poster").symlink_to(POSTER)
        self.env |= {"PATH": f"{self.tmp / 'bin'}:{self.env['PATH']}"}
        self.place = self.tmp / "checkout"
        shutil.copytree(ROOT / "examples", self.place / "examples")
        (self.place / "poster.toml").write_text("")
        self.store = self.place / ".poster"

    def test_the_opening_command_of_each_page_works_as_pasted(self):
        self.launch("echo", "a run to look at", cwd=self.place)
        for page in PAGES:
            with self.subTest(page=page.name):
                command = opening_command(page)
                self.assertIn("poster", command)
                if page.stem == "stop":
                    self.start("sleep", "1000", cwd=self.place)
                    wait_until(lambda: self.poster_json("ls", "--status", "running"))
                done = subprocess.run(
                    ["bash", "-euc", command],
                    cwd=self.place,
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=120,
                )
                self.assertEqual(done.returncode, 0, (command, done.stdout, done.stderr))

    def test_each_subcommand_and_each_callback_has_a_page(self):
        names = {page.stem for page in PAGES}
        for entry in self.poster_json("callbacks"):
            self.assertIn(entry["name"], names)
        text = self.poster("--help", store=False, check=0).stdout.decode()
        commands = re.findall(r"^  ([a-z]+)  ", text, re.MULTILINE)
        self.assertIn("run", commands)
        for command in commands:
            if command != "help":
                self.assertIn(command, names)

    def test_links_between_the_pages_lead_somewhere(self):
        for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
            prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
            for target in re.findall(r"\]\(([^)#]+)\)", prose):
                if "://" not in target:
                    self.assertTrue((page.parent / pathlib.Path(target)).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    main()
