"""Tags, notes, the trash, waiting, and what the doctor says."""

import os
import signal
import time

from harness import POSTER, PosterTest, main, poster_only, wait_until


@poster_only
class Edits(PosterTest):
    def test_tags_and_notes_are_written_also_while_the_run_lives(self):
        process = self.start("sleep", "1000", options=["-t", "a"])
        self.child_pid()
        self.poster("tag", "last", "b", "c", check=0)
        self.poster("tag", "-d", "last", "a", check=0)
        self.poster("note", "last", "looks", "good", check=0)
        [row] = self.poster_json("ls", "--tag", "b")
        self.assertEqual((row["tags"], row["note"]), (["b", "c"], "looks good"))
        wait_until(lambda: time.time() - self.run_dir().stat().st_mtime > 1.1)  # an end within a second tells no edit
        process.terminate()
        process.wait(60)
        [row] = self.poster_json("ls")
        self.assertEqual((row["tags"], row["note"], row["status"]), (["b", "c"], "looks good", "killed"))
        self.assertEqual(self.run_json()["tags"], ["b", "c"])
        self.assertEqual(self.poster("note", "last", check=0).stdout, b"looks good\n")
        self.poster("note", "last", "", check=0)
        self.assertEqual(self.poster_json("ls")[0]["note"], "")

    def test_a_secret_in_a_note_is_redacted(self):
        self.launch("true")
        self.poster("note", "last", "with sk-ant-0123456789abcdef", check=0)
        self.assertNotIn("0123456789", (self.run_dir() / "run.json").read_text())


@poster_only
class Trash(PosterTest):
    def test_a_removed_run_is_in_the_trash_until_it_is_emptied(self):
        self.launch("true")
        run = self.run_dir().name
        self.poster("rm", "last", check=2)  # no terminal to ask on
        self.assertEqual(len(self.run_dirs()), 1)
        self.poster("rm", "-y", "last", check=0)
        self.assertEqual(self.poster_json("ls"), [])
        self.assertTrue((self.store / "trash" / run / "run.json").exists())
        self.poster("gc", check=0)  # too young
        self.assertTrue((self.store / "trash" / run).exists())
        self.poster("gc", "--older", "0", "--dry-run", check=0)
        self.assertTrue((self.store / "trash" / run).exists())
        self.poster("gc", "--older", "0", check=0)
        self.assertFalse((self.store / "trash" / run).exists())

    def test_it_asks(self):
        for answer, left in ((b"n\n", 1), (b"\n", 1), (b"y\n", 0)):
            with self.subTest(answer=answer):
                self.fresh_store()
                self.launch("true")
                terminal = self.terminal(POSTER, "rm", "--store", str(self.store), "last", raw_argv=True)
                terminal.read_until(r"\[y/N\]")
                terminal.send(answer)
                terminal.wait()
                self.assertEqual(len(self.run_dirs()), left)

    def test_a_running_one_is_refused_and_nothing_else_is_touched(self):
        self.launch("true")
        done = self.run_dirs()[0].name
        self.start("sleep", "1000")
        wait_until(lambda: len(self.poster_json("ls", "--status", "running")) == 1)
        self.poster("rm", "-y", done, "last", check=1)
        self.assertEqual(len(self.run_dirs()), 2)

    def test_objects_that_runs_share_stay(self):
        (self.cwd / "a").write_text("1\n")
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            self.git(*words)
        (self.cwd / "a").write_text("2\n")
        self.launch("true")
        self.launch("true")
        [patch] = (self.store / "objects").iterdir()
        self.assertEqual(patch.stat().st_nlink, 3)
        self.poster("rm", "-y", "last", check=0)
        self.poster("gc", "--older", "0", check=0)
        self.assertEqual(patch.stat().st_nlink, 2)
        self.poster("rm", "-y", "last", check=0)
        old = time.time() - 2 * 86400
        os.utime(patch, (old, old))
        self.poster("gc", "--older", "0", check=0)
        self.assertFalse(patch.exists())


@poster_only
class Wait(PosterTest):
    def test_its_status_is_theirs(self):
        self.launch("sh", "-c", "exit 3")
        self.poster("wait", "last", check=3)
        self.launch("true")
        self.poster("wait", "last", check=0)
        self.poster("wait", "last", "last~1", check=3)
        self.launch("sh", "-c", "kill -TERM $$")
        self.poster("wait", "last", check=143)

    def test_it_waits_and_gives_up_after_its_time(self):
        gate = self.tmp / "gate"
        os.mkfifo(gate)
        self.start("sh", "-c", f"cat {gate}; exit 4")
        self.child_pid()
        self.poster("wait", "last", "--timeout", "100ms", check=124)
        with open(gate, "w"):
            pass
        self.poster("wait", "last", check=4)

    def test_a_run_that_everything_of_was_killed_ends_too(self):
        process = self.start("sleep", "1000")
        child, host = self.child_pid(), self.host_pid(process.pid)
        for pid in (host, process.pid, child):
            os.kill(pid, signal.SIGKILL)
        self.poster("wait", "last", check=1)


@poster_only
class Doctor(PosterTest):
    def test_all_is_well(self):
        self.launch("true")
        found = {it["what"]: it for it in self.poster_json("doctor")}
        self.assertEqual(found["store"]["verdict"], "ok")
        self.assertIn("1 runs", found["index"]["found"])
        self.assertIn("callback config", found)
        self.assertIn("store", self.poster("doctor", check=0).stdout.decode())

    def test_a_store_that_cannot_be_made_is_bad(self):
        (self.tmp / "file").touch()
        self.store = self.tmp / "file" / "store"
        done = self.poster("doctor")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout.decode(), r"bad +store")


@poster_only
class AllStores(PosterTest):
    def test_every_store_of_the_user_is_listed(self):
        self.launch("true", options=["-n", "one"])
        first = self.store
        self.fresh_store()
        self.launch("true", options=["-n", "two"])
        rows = self.poster_json("ls", "--all-stores")
        self.assertEqual([row["name"] for row in rows], ["two", "one"])
        self.assertIn(str(first), self.poster("ls", "--all-stores", check=0).stdout.decode())

    def test_what_waits_to_be_delivered_is_told_of_every_store(self):
        self.env |= {"POSTER_SYNC_MODE": "manual", "POSTER_LOCAL_PATH": str(self.tmp / "unplugged")}
        self.launch("true", options=["-n", "one"])
        self.poster("sync", check=1)
        self.fresh_store()
        self.launch("true", options=["-n", "two"])
        rows = {row["name"]: row["undelivered"] for row in self.poster_json("ls", "--all-stores")}
        self.assertRegex(rows["one"], r"^\d+ files$")
        self.assertEqual(rows["two"], "soon")
        table = self.poster("ls", "--all-stores", check=0).stdout.decode()
        self.assertRegex(table, r"one .* files")


if __name__ == "__main__":
    main()
