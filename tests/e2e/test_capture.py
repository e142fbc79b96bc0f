"""What a run remembers of its code and its Python, beside the child and without delaying it."""

import importlib.metadata
import json
import subprocess
import sys

from harness import PosterTest, main, needs_program, poster_only, wait_until


@poster_only
@needs_program("git")
class Git(PosterTest):
    def setUp(self):
        super().setUp()
        self.env |= {
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self.git("init", "-q", "-b", "trunk")
        (self.cwd / "train.py").write_text("lr = 0.1\n")
        (self.cwd / ".gitignore").write_text("ignored.txt\n")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "first")

    def code(self, run=None):
        return self.run_json(run)["code"]

    def stored(self, run=None):
        return {
            str(path.relative_to((run or self.run_dir()) / "code")): path
            for path in ((run or self.run_dir()) / "code").rglob("*")
            if path.is_file()
        }

    def make_dirty(self):
        (self.cwd / "train.py").write_text("lr = 0.2\n")
        (self.cwd / "new.py").write_text("print('untracked')\n")
        (self.cwd / "ignored.txt").write_text("never stored\n")

    def test_commit_and_branch_are_recorded(self):
        self.launch("true")
        text = json.dumps(self.code())
        self.assertIn(self.git("rev-parse", "HEAD").decode().strip(), text)
        self.assertIn("trunk", text)

    def test_a_newline_in_the_path_and_a_detached_head_are_told_as_they_are(self):
        odd = self.tmp / "two\nlines"
        self.git("clone", "-q", self.cwd, odd)
        (odd / "sub").mkdir()
        self.launch("true", cwd=odd / "sub")
        self.assertEqual([self.code()[key] for key in ("root", "subdirectory", "branch")], [str(odd), "sub", "trunk"])
        self.fresh_store()
        self.git("checkout", "-q", "--detach")
        self.launch("true")
        self.assertEqual([self.code()[key] for key in ("root", "subdirectory", "branch")], [str(self.cwd), ".", None])
        self.assertEqual(self.code()["commit"], self.git("rev-parse", "HEAD").decode().strip())

    def test_a_dirty_tree_can_be_rebuilt_from_the_run_directory(self):
        self.make_dirty()
        self.launch("true")
        contents = {name: path.read_text() for name, path in self.stored().items()}
        patches = [text for text in contents.values() if "+lr = 0.2" in text and "-lr = 0.1" in text]
        self.assertEqual(len(patches), 1, contents.keys())
        self.assertTrue(
            any(name.endswith("new.py") and text == "print('untracked')\n" for name, text in contents.items()),
            contents.keys(),
        )
        self.assertFalse(any("never stored" in text for text in contents.values()))
        clone = self.tmp / "clone"
        subprocess.run(["git", "clone", "-q", self.cwd, clone], env=self.env, check=True)
        subprocess.run(["git", "-C", clone, "apply"], input=patches[0].encode(), env=self.env, check=True)
        self.assertEqual((clone / "train.py").read_text(), "lr = 0.2\n")

    def test_identical_patches_and_files_of_different_runs_are_hard_linked(self):
        self.make_dirty()
        self.launch("true")
        self.launch("true")
        first, second = (self.stored(run) for run in self.run_dirs())
        shared = [name for name in first if name in second and first[name].read_bytes() == second[name].read_bytes()]
        self.assertGreaterEqual(len(shared), 2)
        for name in shared:
            with self.subTest(name=name):
                self.assertEqual(first[name].stat().st_ino, second[name].stat().st_ino)

    def test_a_huge_untracked_file_is_left_out_and_named(self):
        with open(self.cwd / "huge.bin", "wb") as huge:
            huge.truncate(300 * 1024 * 1024)
        self.launch("true")
        self.assertFalse(any(path.stat().st_size > 100 * 1024 * 1024 for path in self.stored().values()))
        self.assertIn("huge.bin", json.dumps(self.code()))

    def test_the_index_and_working_tree_of_the_repository_are_untouched(self):
        self.make_dirty()
        before = self.git("status", "--porcelain"), (self.cwd / ".git" / "index").read_bytes()
        self.launch("true")
        self.assertEqual((self.git("status", "--porcelain"), (self.cwd / ".git" / "index").read_bytes()), before)

    def test_capture_still_comes_to_its_end_when_the_child_is_faster(self):
        self.launch("true")
        self.assertIn(self.git("rev-parse", "HEAD").decode().strip(), json.dumps(self.code()))

    def test_a_repository_without_a_commit_is_no_obstacle(self):
        empty = self.tmp / "empty"
        subprocess.run(["git", "init", "-q", empty], env=self.env, check=True)
        self.assertEqual(self.launch("sh", "-c", "exit 3", cwd=empty).returncode, 3)

    def test_a_git_that_hangs_does_not_delay_the_child(self):
        tools = self.tmp / "tools"
        tools.mkdir()
        (tools / "git").write_text("#!/bin/sh\nexec sleep 1000\n")
        (tools / "git").chmod(0o755)
        process = self.start(
            "sh", "-c", "echo started", env={**self.env, "PATH": f"{tools}:{self.env['PATH']}"}, stdout=subprocess.PIPE
        )
        self.assertEqual(process.stdout.readline(), b"started\n")
        self.assertEqual(process.wait(120), 0)


@poster_only
class Python(PosterTest):
    def test_interpreter_version_and_packages_of_a_python_command_are_recorded(self):
        self.launch(sys.executable, "-c", "pass")
        text = json.dumps(self.run_json()["python"])
        self.assertIn(".".join(map(str, sys.version_info[:3])), text)
        self.assertIn("python", text)
        some = next(
            (dist.metadata["Name"] for dist in importlib.metadata.distributions() if dist.metadata["Name"]), None
        )
        if some:
            everything = text + "".join(
                path.read_text() for path in self.run_dir().rglob("*") if path.is_file() and "package" in path.name
            )
            self.assertIn(some.lower(), everything.lower())

    def test_other_commands_have_no_python_section(self):
        self.launch("true")
        self.assertFalse(self.run_json().get("python"))

    def test_package_lists_of_different_runs_are_hard_linked(self):
        self.launch(sys.executable, "-c", "pass")
        self.launch(sys.executable, "-c", "pass")
        lists = [[path for path in run.rglob("*package*") if path.is_file()] for run in self.run_dirs()]
        for first, second in zip(*lists, strict=True):
            self.assertEqual(first.stat().st_ino, second.stat().st_ino)


@poster_only
class Callbacks(PosterTest):
    def test_config_types_the_arguments_of_every_command(self):
        self.launch("true", "--lr", "0.1", "--epochs=5", "--verbose", "model.depth=3", "+name=resnet", "data.txt")
        config = json.dumps(self.run_json()["config"])
        for wanted in ('"lr"', "0.1", '"epochs"', "5", '"verbose"', "depth", "resnet", "data.txt"):
            self.assertIn(wanted, config)
        self.assertNotIn('"0.1"', config.replace(json.dumps("--lr"), ""))

    def test_hardware_describes_the_machine_and_samples_it(self):
        self.launch("true")
        text = json.dumps(self.run_json()["hardware"]).lower()
        for wanted in ("cpu", "memory"):
            self.assertIn(wanted, text)

    def test_hardware_samples_come_at_the_interval_that_is_set(self):
        (self.cwd / "poster.toml").write_text('[hardware]\ninterval = "100ms"\n')
        process = self.start("sleep", "1000")
        self.child_pid()
        samples = self.attempt_dir() / "hardware.jsonl"
        wait_until(lambda: samples.exists() and samples.read_bytes().count(b"\n") >= 3)
        process.terminate()
        process.wait(60)
        for line in samples.read_text().splitlines():
            json.loads(line)

    def test_posters_own_log_is_there_and_has_only_whole_lines(self):
        self.launch("true", options=["-v"])
        log = self.attempt_dir() / "poster.log"
        self.assertTrue(not log.exists() or log.read_bytes().endswith(b"\n"))

    def test_the_ledger_says_that_each_end_hook_was_done_once(self):
        self.launch("true")
        lines = [json.loads(line) for line in (self.attempt_dir() / "hooks.jsonl").read_text().splitlines()]
        self.assertTrue(any("end" in json.dumps(line) for line in lines), lines)


if __name__ == "__main__":
    main()
