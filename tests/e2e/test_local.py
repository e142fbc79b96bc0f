"""Copies in a folder of this machine, by `poster sync`."""

import random
import shutil
import subprocess

from copies import ODD_NAMES, CopiesTest
from harness import main, needs_root, poster_only
from services import small_disk


@poster_only
class Local(CopiesTest):
    callback = "local"

    def setUp(self):
        super().setUp()
        self.use(self.tmp / "nas")
        self.root.mkdir()

    def use(self, root):
        self.root = root
        self.env |= {"POSTER_LOCAL_PATH": str(root)}

    def test_a_run_is_copied_whatever_its_files_are_called(self):
        run = self.make_run({name: name.encode() for name in [*ODD_NAMES, "line\nbreak"]} | {"empty": b""})
        self.assertEqual(self.sync().returncode, 0)
        self.assert_arrived(self.root, run)

    def test_only_what_has_changed_is_copied_again(self):
        run = self.make_run({"kept": b"kept", "changed": b"before"})
        self.sync()
        kept = self.root / "runs" / run.name / "files" / "kept"
        before = kept.stat()
        self.save(run, {"changed": b"after that"})
        self.assertEqual(self.sync().returncode, 0)
        self.assert_arrived(self.root, run)
        self.assertEqual(kept.stat().st_ino, before.st_ino)

    def test_a_folder_that_is_not_mounted_for_the_whole_run_is_not_made_and_gets_all_later(self):
        self.root.rmdir()
        run = self.make_run({"model": random.randbytes(1_000_000)})
        done = self.sync()
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No such file or directory", done.stdout + done.stderr)
        self.assertFalse(self.root.exists())
        self.root.mkdir()
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_a_full_disk_gets_the_rest_when_there_is_room(self):
        with small_disk("4m") as disk:
            self.use(disk)
            run = self.make_run({"big": random.randbytes(6_000_000), "small": b"small"})
            done = self.sync()
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"No space left on device", done.stdout + done.stderr)
            self.assert_nothing_false_is_noted(disk, run)
            self.assertEqual((disk / "runs" / run.name / "files" / "small").read_bytes(), b"small")
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            self.sync_until_done()
            self.assert_arrived(disk, run)

    @needs_root
    def test_a_disk_that_is_mounted_for_reading_only_is_for_the_user_to_mend(self):
        with small_disk("4m") as disk:
            self.use(disk)
            run = self.make_run({"a": b"a"})
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            done = self.sync()
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"Read-only file system", done.stdout + done.stderr)
            self.assertIn(b"mount it for reading and writing", done.stdout + done.stderr)
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
            self.sync_until_done()
            self.assert_arrived(disk, run)

    def test_a_link_in_the_way_leads_nowhere(self):
        run = self.make_run({"a": b"a"})
        elsewhere = self.tmp / "elsewhere"
        elsewhere.mkdir()
        (self.root / "runs").symlink_to(elsewhere)
        self.assertEqual(self.sync().returncode, 1)
        self.assertEqual(list(elsewhere.rglob("*")), [])
        (self.root / "runs").unlink()
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_a_sync_that_is_killed_at_any_moment_loses_and_doubles_nothing(self):
        run = self.make_run({"big": random.randbytes(20_000_000)})
        self.kill_at_random_moments(self.root, run, times=50, longest=0.15)
        self.sync_until_done()
        self.assert_nothing_false_is_noted(self.root, run)
        for part in self.root.rglob(".poster-*.part"):  # what kill -9 left, for `poster gc`
            part.unlink()
        self.assert_arrived(self.root, run)

    def test_a_damaged_copy_is_seen_when_it_is_fetched(self):
        run = self.make_run({"model": b"content"})
        self.sync()
        (self.root / "runs" / run.name / "files" / "model").write_bytes(b"CONTENT")
        shutil.rmtree(run / "files")
        done = self.poster("fetch", run.name)
        self.assertEqual(done.returncode, 1, (done.stdout, done.stderr))
        self.assertFalse((run / "files" / "model").exists())


if __name__ == "__main__":
    main()
