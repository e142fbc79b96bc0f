"""A run again: with other arguments, with the code as it was, and what differs."""

import hashlib
import os
import random
import stat

from harness import PosterTest, exit_of, main, needs_program, poster_only, python

TREES = int(os.environ.get("POSTER_TREES", "10"))


@poster_only
class Repeats(PosterTest):
    SHOW = "import os, sys; print(sys.argv[1:], os.environ.get('MARK'), os.getcwd())"

    def rerun(self, *words, check=0, **options):
        done = self.poster("rerun", *words, **options)
        self.assertEqual(done.returncode, check, done.stderr)
        return done

    def newest(self):
        return self.poster_json("show", "last")


class Rerun(Repeats):
    def test_it_has_the_command_folder_name_tags_and_variables_of_the_original(self):
        first = self.launch(*python(self.SHOW), "a b", options=["-n", "x", "-t", "t", "--env", "MARK=1"])
        original = self.run_json()
        again = self.rerun("last", cwd=self.tmp)
        self.assertEqual(again.stdout, first.stdout)
        run = self.newest()
        for key in ("argv", "cwd", "name", "tags", "environment_changes"):
            self.assertEqual(run[key], original[key])
        self.assertEqual(run["parent"], original["id"])
        self.assertEqual(self.poster_json("show", original["id"])["children"], [run["id"]])
        self.assertIn(run["id"], self.poster("show", original["id"]).stdout.decode())

    def test_words_that_are_added_replace_what_they_mean(self):
        self.launch(*python(self.SHOW), "lr=1", "--seed", "1", "in.txt")
        seen = self.rerun("last", "--", "lr=2", "--seed", "2", "more").stdout.decode()
        self.assertTrue(seen.startswith("['lr=2', '--seed', '2', 'in.txt', 'more']"), seen)

    def test_words_without_the_double_dash_are_a_usage_error(self):
        self.launch("true")
        self.assertIn("`--`", self.rerun("last", "lr=2", check=2).stderr.decode())

    def test_its_exit_status_is_the_commands(self):
        self.launch("sh", "-c", "exit 7")
        self.rerun("last", check=7)
        self.launch("sh", "-c", "kill -TERM $$")
        self.assertEqual(exit_of(self.poster("rerun", "last").returncode), "SIGTERM")

    def test_a_table_says_what_differs(self):
        self.launch("sh", "-c", "true", "x", env={**self.env, "FOO": "1"})
        text = self.rerun("last", "--", "y", env={**self.env, "FOO": "2"}).stderr.decode()
        self.assertRegex(text, r"variable FOO +1 +2")
        text = self.rerun("last", env={**self.env, "FOO": "2"}).stderr.decode()
        self.assertIn("nothing that poster knows of differs", text)

    def test_what_cannot_be_repeated_is_told_before_anything_is_made(self):
        gone = self.tmp / "gone"
        gone.mkdir()
        program = self.tmp / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        cases = [
            (["true"], {"cwd": gone}, gone.rmdir, "working directory"),
            ([program], {}, program.unlink, "program"),
            (["true", "--api-key", "sk-ant-0123456789abcdef"], {}, lambda: None, "redacted"),
        ]
        for argv, options, vanish, words in cases:
            with self.subTest(words=words):
                self.fresh_store()
                self.launch(*argv, **options)
                vanish()
                done = self.rerun("last", check=125)
                self.assertIn(words, done.stderr.decode())
                self.assertEqual(len(self.run_dirs()), 1)

    def test_a_redacted_variable_comes_from_the_present_environment(self):
        show = ["sh", "-c", "echo $MY_TOKEN"]
        self.launch(*show, options=["--env", "MY_TOKEN=sk-ant-0123456789abcdef"])
        self.assertIn("MY_TOKEN", self.rerun("last", check=125).stderr.decode())
        self.assertEqual(self.rerun("last", env={**self.env, "MY_TOKEN": "now"}).stdout, b"now\n")

    def test_the_command_can_be_edited(self):
        editor = self.tmp / "editor"
        editor.write_text("#!/bin/sh\nsed -i 's/one/two three/' \"$1\"\n")
        editor.chmod(0o755)
        self.launch("echo", "one")
        self.assertEqual(self.rerun("last", "--edit", env={**self.env, "EDITOR": str(editor)}).stdout, b"two three\n")
        self.rerun("last", "--edit", env={**self.env, "EDITOR": "false"}, check=125)
        self.assertEqual(len(self.run_dirs()), 2)

    def test_verify_compares_status_files_and_metrics(self):
        code = (
            "import os, sys\n"
            "open(os.environ['POSTER_FILES_DIR'] + '/out', 'w').write(sys.argv[1])\n"
            'line = \'{"kind": "metric", "values": {"loss": %s}}\\n\' % sys.argv[2]\n'
            "open(os.environ['POSTER_EVENTS_DIR'] + '/here.1.jsonl', 'w').write(line)\n"
            "sys.exit(int(sys.argv[3]))"
        )
        script = self.cwd / "script.py"
        script.write_text(code)
        argv = [*python("exec(open('script.py').read())"), "a", "0.5", "0"]
        self.launch(*argv)
        first = self.run_dirs()[0].name
        done = self.rerun(first, "--verify")
        self.assertIn("1 files, 1 metrics", done.stderr.decode())
        for before, after, what in (
            ("sys.argv[1])", "sys.argv[1] + '!')", "file files/out"),
            ("% sys.argv[2]", "% '0.6'", "metric loss"),
            ("sys.exit(int(sys.argv[3]))", "sys.exit(3)", "status"),
        ):
            with self.subTest(what=what):
                script.write_text(code.replace(before, after))
                self.assertIn(what, self.rerun(first, "--verify", check=1).stderr.decode())


@poster_only
@needs_program("git")
class Checkout(Repeats):
    def tree(self, root):
        """Path to kind, mode and content of everything but git's own."""
        found = {}
        for folder, folders, files in os.walk(root):
            if ".git" in folders:
                folders.remove(".git")
            for name in [*files, *folders]:
                path = os.path.join(folder, name)
                key = os.fsencode(os.path.relpath(path, root))
                info = os.lstat(path)
                if stat.S_ISLNK(info.st_mode):
                    found[key] = ("link", os.readlink(path))
                elif stat.S_ISREG(info.st_mode) and name != ".git":
                    with open(path, "rb") as file:
                        found[key] = (bool(info.st_mode & 0o100), hashlib.sha256(file.read()).hexdigest())
        return found

    def worktree(self):
        return self.store / "runs" / self.newest()["id"] / "worktree"

    def test_the_code_is_as_it_was_and_the_users_own_tree_is_not_touched(self):
        self.git("init")
        (self.cwd / "sub").mkdir()
        (self.cwd / "sub" / "say.sh").write_text("echo one\n")
        self.git("add", ".")
        self.git("commit", "-m", "first")
        (self.cwd / "sub" / "say.sh").write_text("echo two; cat new; pwd\n")
        (self.cwd / "sub" / "new").write_text("new\n")
        self.launch("sh", "say.sh", cwd=self.cwd / "sub")
        (self.cwd / "sub" / "say.sh").write_text("echo three\n")
        (self.cwd / "sub" / "new").unlink()
        before, status = self.tree(self.cwd), self.git("status", "--porcelain")
        done = self.rerun("last", "--checkout")
        self.assertEqual(done.stdout.decode(), f"two\nnew\n{self.worktree() / 'sub'}\n")
        self.assertEqual((self.tree(self.cwd), self.git("status", "--porcelain")), (before, status))
        text = self.rerun("last~1").stderr.decode()
        self.assertRegex(text, "uncommitted changes")
        self.assertRegex(text, "untracked file sub/new")
        # and from a run that was checked out itself
        self.assertEqual(self.rerun("last~1", "--checkout").stdout.splitlines()[0], b"two")

    def test_arguments_that_name_a_file_of_the_tree_name_it_in_the_new_one(self):
        self.git("init")
        (self.cwd / "say.sh").write_text("echo one\n")
        self.git("add", ".")
        self.git("commit", "-m", "first")
        self.launch("sh", self.cwd / "say.sh")
        (self.cwd / "say.sh").write_text("echo two\n")
        self.assertEqual(self.rerun("last", "--checkout").stdout, b"one\n")

    def test_code_that_is_not_there_is_told_before_anything_is_made(self):
        self.launch("true")
        self.assertIn("no code", self.rerun("last", "--checkout", check=125).stderr.decode())
        self.git("init")
        (self.cwd / "a").write_text("a")
        self.git("add", ".")
        self.git("commit", "-m", "first")
        self.launch("true")
        self.git("commit", "--amend", "-m", "other")
        self.git("reflog", "expire", "--expire=now", "--all")
        self.git("gc", "--prune=now", "-q")
        done = self.rerun("last", "--checkout", check=125)
        self.assertRegex(done.stderr.decode(), "commit .* is not in")
        self.assertEqual(len(self.run_dirs()), 2)

    def test_a_program_that_is_gone_leaves_neither_a_run_nor_a_worktree(self):
        tool = self.tmp / "tool"
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
        self.git("init")
        (self.cwd / "a").write_text("a")
        self.git("add", ".")
        self.git("commit", "-m", "first")
        self.launch(tool)
        tool.unlink()
        self.assertIn("is not found", self.rerun("last", "--checkout", check=125).stderr.decode())
        self.assertEqual(len(self.run_dirs()), 1)
        self.assertEqual([row["status"] for row in self.poster_json("ls")], ["finished"])
        self.assertEqual(self.git("worktree", "list").count(b"\n"), 1)

    def test_removing_the_run_removes_its_worktree_from_the_repository(self):
        self.git("init")
        (self.cwd / "a").write_text("a")
        self.git("add", ".")
        self.git("commit", "-m", "first")
        self.launch("true")
        self.rerun("last", "--checkout")
        self.assertEqual(self.git("worktree", "list").count(b"\n"), 2)
        self.poster("rm", "-y", "last", check=0)
        self.assertEqual(self.git("worktree", "list").count(b"\n"), 1)

    def random_file(self, rng):
        kind = rng.randrange(4)
        if kind == 0:
            return b""
        if kind == 1:
            return rng.randbytes(rng.randrange(1, 5000))
        lines = [b"line %d" % rng.randrange(1000) for _ in range(rng.randrange(1, 40))]
        return (b"\r\n" if kind == 2 else b"\n").join(lines) + (b"\n" if rng.random() < 0.7 else b"")

    def random_path(self, rng, root):
        names = ["a", "b c", "ü", "d.py", "-e", "f'g", 'h"i', "j\tk", "l*", "#m", "n\\o"]
        parts = [rng.choice(names) for _ in range(rng.randrange(1, 4))]
        path = root.joinpath(*parts)
        for parent in path.parents:
            if parent != root and parent.is_relative_to(root) and (parent.is_symlink() or parent.is_file()):
                return None
        if path.is_dir() and not path.is_symlink():
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, rng, path):
        if path.is_symlink() or path.exists():
            path.unlink()
        if rng.random() < 0.1:
            path.symlink_to(rng.choice(["a", "../nowhere", "/etc/hostname"]))
            return
        path.write_bytes(self.random_file(rng))
        path.chmod(rng.choice([0o644, 0o755]))

    def generate(self, rng):
        """A commit, then changes of every kind upon it, some of them staged."""
        self.git("init")
        for _ in range(rng.randrange(1, 15)):
            if path := self.random_path(rng, self.cwd):
                self.write(rng, path)
        (self.cwd / "sub").mkdir(exist_ok=True)
        (self.cwd / "sub" / "keep").write_text("x")
        if rng.random() < 0.9:
            self.git("add", "-A")
            self.git("commit", "-m", "first")
        for _ in range(rng.randrange(0, 10)):
            files = [
                p
                for p in self.cwd.rglob("*")
                if ".git" not in p.parts and (p.is_symlink() or p.is_file()) and p.name != "keep"
            ]
            action = rng.randrange(6)
            if action == 0 and files:
                rng.choice(files).unlink()
            elif action == 1 and files:
                target = self.random_path(rng, self.cwd)
                source = rng.choice(files)
                if target and not target.is_symlink() and not target.exists():
                    source.rename(target)
            elif action == 2 and files:
                path = rng.choice(files)
                if not path.is_symlink():
                    path.chmod(rng.choice([0o644, 0o755]))
            elif action == 3:
                self.git("add", "-A")
            elif path := self.random_path(rng, self.cwd):
                self.write(rng, path)

    def test_generated_trees_come_back_exactly(self):
        seed = int(os.environ.get("POSTER_SEED", "1"))
        for number in range(TREES):
            with self.subTest(tree=number, seed=seed):
                self.cwd = self.tmp / f"tree-{number}"
                self.cwd.mkdir()
                self.fresh_store()
                self.generate(random.Random(f"{seed} {number}"))
                self.launch("true", cwd=self.cwd / "sub")
                captured = self.tree(self.cwd)
                status = self.git("status", "--porcelain")
                self.rerun("last", "--checkout", "-q")
                self.assertEqual(self.tree(self.worktree()), captured)
                self.assertEqual(self.newest()["cwd"], str(self.worktree() / "sub"))
                self.assertEqual((self.tree(self.cwd), self.git("status", "--porcelain")), (captured, status))


class Diff(Repeats):
    def test_it_compares_command_variables_and_outcome(self):
        self.launch("sh", "-c", "exit $1", "x", "0", "--lr=1", env={**self.env, "FOO": "1"})
        self.launch("sh", "-c", "exit $1", "x", "3", "--lr=2", env={**self.env, "FOO": "2"})
        found = {it["what"]: (it["before"], it["after"]) for it in self.poster_json("diff", "last~1", "last")}
        self.assertEqual(found["argument lr"], ("1", "2"))
        self.assertEqual(found["variable FOO"], ("1", "2"))
        self.assertEqual(found["status"], ("finished", "failed"))
        self.assertEqual(found["exit_code"], ("0", "3"))
        self.assertIn("argument lr", self.poster("diff", "last~1", "last", check=0).stdout.decode())

    def test_it_says_when_nothing_differs(self):
        self.launch("true")
        self.assertEqual(self.poster_json("diff", "last", "last"), [])
        self.assertIn("nothing", self.poster("diff", "last", "last", check=0).stderr.decode())

    def test_it_wants_two_runs(self):
        self.launch("true")
        self.poster("diff", "last", check=2)
        self.poster("diff", "last", "nonsense", check=2)


if __name__ == "__main__":
    main()
