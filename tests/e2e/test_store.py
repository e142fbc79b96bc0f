"""The store: many posters at once, a damaged or missing index, places that cannot be written."""

import contextlib
import json
import os
import shutil
import subprocess

from harness import POSTER, PosterTest, main, poster_only, wait_until


@poster_only
class Store(PosterTest):
    def index_files(self):
        """Every SQLite file that poster has made for this test."""
        found = []
        for path in [*self.store.rglob("*"), *(self.tmp / "home").rglob("*")]:
            with contextlib.suppress(OSError):
                if path.is_file() and path.read_bytes().startswith(b"SQLite format 3\0"):
                    found.append(path)
        return found

    def ids(self, **options):
        return [run["id"] for run in self.poster_json("ls", **options)]

    def test_100_posters_at_once_lose_nothing(self):
        command = [POSTER, "run", "-q", "--store", str(self.store), "--", "true"]
        processes = [
            subprocess.Popen(
                command,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            for _ in range(100)
        ]
        errors = [process.communicate()[1] for process in processes]
        self.assertEqual([process.returncode for process in processes], [0] * 100, set(errors))
        self.assertEqual(set(errors), {b""})
        self.assertEqual(len(self.run_dirs()), 100)
        listed = self.poster_json("ls")
        self.assertEqual({run["id"] for run in listed}, {run.name for run in self.run_dirs()})
        self.assertEqual({run["status"] for run in listed}, {"finished"})
        self.assertEqual(os.listdir(self.store / "active"), [])

    def test_ls_while_posters_run_never_fails(self):
        writers = subprocess.Popen(
            [
                "sh",
                "-c",
                f"for i in 1 2 3 4 5 6 7 8 9 10; do {POSTER} run -q --store {self.store} -- true & done; wait",
            ],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        while writers.poll() is None:
            self.poster("ls", check=0)
        self.assertEqual(len(self.ids()), 10)

    def test_run_ids_are_unique_and_sort_by_time(self):
        for _ in range(20):
            self.launch("true")
        self.assertEqual(len({run.name for run in self.run_dirs()}), 20)

    def test_an_index_is_created_on_demand_and_a_deleted_one_comes_back(self):
        self.launch("true")
        before = self.poster_json("ls")
        files = self.index_files()
        self.assertTrue(files, "there is no index")
        for path in files:
            path.unlink()
        self.assertEqual(self.poster_json("ls"), before)

    def test_a_corrupt_index_is_rebuilt_with_one_line_of_notice(self):
        self.launch("true", options=["-n", "kept"])
        before = self.poster_json("ls")
        damages = {
            "garbage": lambda path: path.write_bytes(b"garbage" * 5000),
            "cut short": lambda path: os.truncate(path, 100),
            "overwritten in the middle": lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xaa" * 20000),
            "a directory": lambda path: (path.unlink(), path.mkdir()),
        }
        for damage, inflict in damages.items():
            with self.subTest(damage=damage):
                for path in wait_until(self.index_files):
                    for side in ("-wal", "-shm"):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(str(path) + side)
                    inflict(path)
                done = self.poster("ls", "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout), before)
                notices = done.stderr.splitlines()
                self.assertLessEqual(len(notices), 1, notices)
                self.assertTrue(all(line.startswith(b"poster: ") for line in notices))

    def test_a_corrupt_index_never_harms_a_run(self):
        self.launch("true")
        self.poster("ls", check=0)
        for path in self.index_files():
            path.write_bytes(b"garbage" * 5000)
        self.assertEqual(self.launch("sh", "-c", "echo hi; exit 3").returncode, 3)
        self.assertEqual(len(self.ids()), 2)

    def test_a_run_directory_that_was_deleted_leaves_the_list(self):
        self.launch("true")
        self.launch("true")
        self.assertEqual(len(self.ids()), 2)
        shutil.rmtree(self.run_dirs()[0])
        self.assertEqual(self.ids(), [self.run_dirs()[0].name])

    def test_a_run_directory_copied_into_the_store_is_listed(self):
        self.launch("true")
        original = self.run_dir()
        self.ids()
        other = self.tmp / "other"
        (other / "runs").mkdir(parents=True)
        shutil.copytree(original, other / "runs" / original.name)
        self.store = other
        self.assertEqual(self.ids(), [original.name])

    def test_strange_files_in_the_store_harm_nothing(self):
        self.launch("true")
        kept = self.ids()
        (self.store / "runs" / "notes.txt").write_text("mine")
        (self.store / "runs" / "not-a-run").mkdir()
        empty = self.store / "runs" / "20200101-000000-aaaa"
        empty.mkdir()
        broken = self.store / "runs" / "20200101-000000-bbbb"
        broken.mkdir()
        (broken / "run.json").write_text('{"format": 1, "id"')
        self.poster("reindex", check=0)
        self.assertIn(kept[0], self.ids())
        self.assertEqual(self.launch("true").returncode, 0)

    def test_a_shared_file_system_gets_its_index_on_the_local_disk_and_no_lock(self):
        shared = {**self.env, "POSTER_ASSUME_SHARED": "1", "XDG_CACHE_HOME": str(self.tmp / "cache")}
        self.assertEqual(self.launch("sh", "-c", "exit 3", env=shared).returncode, 3)
        self.assertEqual(len(self.ids(env=shared)), 1)
        self.assertEqual([path for path in self.index_files() if self.store in path.parents], [])
        self.assertTrue(any((self.tmp / "cache").rglob("*")), "no index on the local disk")
        self.assertEqual(self.attempt()["status"], "failed")

    def read_only_store(self):
        """The store, mounted read-only: root is not stopped by mode bits."""
        if os.geteuid() != 0:
            for path in [self.store, *self.store.rglob("*")]:
                if path.is_dir():
                    path.chmod(0o500)
            self.addCleanup(
                lambda: [path.chmod(0o700) for path in [self.store, *self.store.rglob("*")] if path.is_dir()]
            )
            return
        bind = subprocess.run(["mount", "--bind", self.store, self.store], stderr=subprocess.DEVNULL).returncode
        if (
            bind != 0
            or subprocess.run(["mount", "-o", "remount,ro,bind", self.store], stderr=subprocess.DEVNULL).returncode != 0
        ):
            subprocess.run(["umount", self.store], stderr=subprocess.DEVNULL)
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", "-l", self.store])

    def test_a_read_only_store_can_be_read(self):
        self.launch("sh", "-c", "echo hello; exit 3")
        self.read_only_store()
        runs = self.poster_json("ls")
        self.assertEqual([run["exit_code"] for run in runs], [3])
        self.assertEqual(self.poster("logs", "last", check=0).stdout, b"hello\n")
        self.assertEqual(self.poster_json("show", "last")["id"], runs[0]["id"])

    def test_a_run_in_a_read_only_store_fails_with_125_and_says_what_to_do(self):
        self.launch("true")
        self.read_only_store()
        witness = self.tmp / "witness"
        done = self.launch("touch", witness)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"--store", done.stderr)
        self.assertFalse(witness.exists())

    def test_without_home_and_environment_everything_works(self):
        for name, env in {
            "no HOME": {key: value for key, value in self.env.items() if key != "HOME"},
            "nothing": {"E2E_TEST": self.tmp.name},
            "a HOME that is not there": {**self.env, "HOME": "/no/such/home"},
        }.items():
            with self.subTest(environment=name):
                self.fresh_store()
                self.assertEqual(self.launch("/bin/sh", "-c", "exit 3", env=env).returncode, 3)
                self.assertEqual(len(self.ids(env=env)), 1)

    def test_unknown_fields_survive_and_files_end_in_a_newline(self):
        self.launch("true")
        for name in ("run.json", "attempts/1/attempt.json"):
            self.assertTrue((self.run_dir() / name).read_bytes().endswith(b"\n"), name)

    def test_a_store_never_dirties_a_git_repository(self):
        if not shutil.which("git"):
            self.skipTest("git is not installed")
        self.git("init", "-q")
        subprocess.run(
            [POSTER, "run", "-q", "true"], env=self.env, cwd=self.cwd, stdin=subprocess.DEVNULL, check=True, timeout=60
        )
        self.assertEqual(self.git("status", "--porcelain"), b"")


if __name__ == "__main__":
    main()
