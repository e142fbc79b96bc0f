"""`poster fetch` and `poster gc --delivered`: what went to a remote comes back, and only what is there goes here."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import textwrap
import threading
import time

from harness import POSTER_TEST, PosterTest, is_running, kill_quietly, main, poster_only, python, wait_until
from services import S3Front, error, need_root, s3, sshd

TRAIN = """
import os, pathlib, sys
files = pathlib.Path(os.environ["POSTER_FILES_DIR"])
checkpoint = files / "deep" / "model.pt"
print("resumed with", checkpoint.read_bytes()[:5] if checkpoint.exists() else None)
checkpoint.parent.mkdir(exist_ok=True)
checkpoint.write_bytes(b"model" * 20000)
(files / "name with [x] ü+%.txt").write_text("odd")
(files / "small.txt").write_text("small")
sys.exit(int(sys.argv[1]))
"""


def content_of(folder):
    """All files of a run directory that are copied: path to content."""
    left_out = ("outbox", "worktree")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.relative_to(folder).parts[0] not in left_out
        and path.name not in ("lock", "heartbeat", "manifest.json")
    }


class Fetching(PosterTest):
    """A remote, `self.place`, that the tests may look into and damage; by a subclass."""

    callback = "local"
    reads_again = True  # rather than believe the remote's own word for a hash

    def setUp(self):
        super().setUp()
        self.place = self.tmp / "nas"
        self.place.mkdir()
        self.configure()

    def configure(self):
        self.settings(f'[local]\npath = "{self.place}"\n')

    def settings(self, text):
        (self.cwd / "poster.toml").write_text(f'[sync]\nmode = "manual"\n{text}')

    def run_one(self, code=0, options=()):
        """A run that saved files, synced; gives its directory."""
        before = set(self.run_dirs())
        self.assertEqual(self.launch(*python(TRAIN, code), options=options).returncode, code)
        [run] = set(self.run_dirs()) - before
        self.sync(run)
        return run

    def sync(self, run):
        self.poster("sync", run.name, check=0)

    def there(self, run, path=""):
        """The copy of a file."""
        return self.place / "runs" / run.name / path

    def edit_manifest(self, run, edit):
        manifest = json.loads(self.there(run, "manifest.json").read_text())
        edit(manifest["files"])
        self.there(run, "manifest.json").write_text(json.dumps(manifest))

    def lose_store(self):
        """Gives what was in it."""
        content = {run.name: content_of(run) for run in self.run_dirs()}
        shutil.rmtree(self.store)
        return content

    def said(self, done):
        return (done.stdout + done.stderr).decode()

    def queued(self):
        """What a sync would send now."""
        ids = [run.name for run in self.run_dirs()]
        return self.poster("sync", *ids, "--dry-run", check=0).stdout.decode().splitlines()


class CommonTests:
    """Of every remote."""

    def test_a_store_comes_back_from_its_copies_alone_and_works(self):
        (self.cwd / "tracked.txt").write_text("one")
        self.git("init", "-q")
        self.git("add", ".")
        self.git("commit", "-qm", "first")
        (self.cwd / "tracked.txt").write_text("two")
        (self.cwd / "untracked.txt").write_text("new")
        finished = self.run_one(options=["-n", "good", "-t", "paper"])
        failed = self.run_one(3)
        shown = self.poster_json("show", "good")
        before = self.lose_store()

        done = self.poster("fetch", "--all", check=0)
        self.assertIn(f"{finished.name} {self.callback}:", self.said(done))
        self.assertEqual({run.name: content_of(run) for run in self.run_dirs()}, before)
        self.assertEqual(os.listdir(self.store / "fetching"), [])
        for path in self.store.rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        self.assertEqual(self.queued(), [])

        listed = {row["id"]: row for row in self.poster_json("ls")}
        self.assertEqual({id: row["status"] for id, row in listed.items()}, {finished.name: "finished", failed.name: "failed"})
        self.assertEqual((listed[finished.name]["name"], listed[finished.name]["tags"]), ("good", ["paper"]))
        again = self.poster_json("show", "good")
        elsewhere = {"dir": None, "deliveries": None}  # nothing waits to be delivered from this store
        self.assertEqual({**again, **elsewhere}, {**shown, **elsewhere})
        self.assertIn(b"resumed with None", self.poster("logs", "good", check=0).stdout)
        done = self.poster("rerun", "good", "--checkout", "--verify", check=0)
        self.assertIn("verified", self.said(done))
        done = self.poster("continue", failed.name, check=3)
        self.assertIn(b"resumed with b'model'", done.stdout)
        done = self.poster("fetch", "--all", check=0)
        self.assertNotIn("files,", self.said(done))

    def test_files_that_are_missing_come_back_and_those_that_differ_stay(self):
        run = self.run_one()
        before = content_of(run)
        shutil.rmtree(run / "files" / "deep")
        (run / "files" / "small.txt").write_text("mine now")
        done = self.poster("fetch", run.name, check=1)
        self.assertIn("files/small.txt failed: the one here differs from the copy and is kept", self.said(done))
        self.assertEqual(content_of(run), {**before, "files/small.txt": b"mine now"})
        (run / "files" / "small.txt").unlink()
        self.poster("fetch", run.name, check=0)
        self.assertEqual(content_of(run), before)
        self.assertIn("nothing of run", self.said(self.poster("fetch", run.name, check=0)))
        self.assertEqual(self.queued(), [])

    def test_patterns_say_which_files_come(self):
        run = self.run_one()
        for pattern, comes in (
            ("*.pt", {"files/deep/model.pt"}),
            ("small.txt", {"files/small.txt"}),
            ("files/", {"files/deep/model.pt", "files/small.txt", "files/name with [x] ü+%.txt"}),
        ):
            shutil.rmtree(run / "files")
            (run / "attempts" / "1" / "output.log").unlink(missing_ok=True)
            self.poster("fetch", run.name, pattern, check=0)
            self.assertEqual({path for path in content_of(run) if path.startswith("files")}, comes, pattern)
            self.assertFalse((run / "attempts" / "1" / "output.log").exists())
        done = self.poster("fetch", run.name, "no such", check=1)
        self.assertIn("has such files", self.said(done))

    def test_one_run_comes_into_an_empty_store_by_the_end_of_its_id(self):
        run, other = self.run_one(), self.run_one()
        before = self.lose_store()
        lines = self.poster("fetch", run.name[-4:], "--json", check=0).stdout.splitlines()
        self.assertEqual(content_of(self.run_dir()), before[run.name])
        files = {line["path"]: line for line in map(json.loads, lines) if "path" in line}
        self.assertEqual(set(files), set(before[run.name]))
        self.assertEqual({line["state"] for line in files.values()}, {"delivered"})
        done = self.poster("fetch", "nothing", check=2)
        self.assertIn("nothing", self.said(done))

    def test_records_alone_can_be_fetched_and_the_rest_by_need(self):
        run = self.run_one(3)
        before = self.lose_store()
        self.poster("fetch", "--all", "attempts/", check=0)
        self.assertEqual(
            set(content_of(self.run_dir())), {p for p in before[run.name] if p.startswith("attempts/") or p == "run.json"}
        )
        saved = {file["name"]: file for file in self.poster_json("files", run.name)}
        self.assertEqual((saved["deep/model.pt"]["exists"], saved["deep/model.pt"]["at"]), (False, self.callback))
        done = self.poster("continue", run.name, check=3)
        self.assertIn(b"resumed with b'model'", done.stdout)
        self.assertIn("fetching 3 files, 100.0 kB", done.stderr.decode())

    def test_delivered_files_are_deleted_here_only_with_yes_and_known_to_be_there(self):
        run = self.run_one()
        before = content_of(run)
        done = self.poster("gc", "--delivered", "--larger", "50k", check=0)
        self.assertIn("100.0 kB in 1 file of 1 run could be deleted here", self.said(done))
        self.assertEqual(content_of(run), before)
        done = self.poster("gc", "--delivered", "--older", "1h", "--yes", check=0)
        self.assertIn("0 B in 0 files", self.said(done))
        self.assertEqual(content_of(run), before)

        self.poster("gc", "--delivered", "--yes", check=0)
        left = content_of(run)
        self.assertEqual(
            {path for path in before if path not in left},
            {p for p in before if p.startswith(("files/", "code/")) or p.startswith("attempts/1/output.")},
        )
        self.assertEqual(left, {path: before[path] for path in left})
        shown = self.poster("files", run.name, check=0).stdout.decode()
        self.assertIn(f"100.0 kB at {self.callback}", shown)
        self.assertIn(" at ", self.poster("show", run.name, check=0).stdout.decode().partition("Files")[2])
        self.assertIn("poster fetch", self.said(self.poster("logs", run.name, check=1)))
        self.assertEqual(self.queued(), [])
        self.poster("sync", run.name, check=0)  # nor are they taken from the remote's manifest

        self.poster("fetch", run.name, check=0)
        self.assertEqual(content_of(run), before)

    def damages(self):
        def gone(path):
            path.unlink()

        def cut(path):
            path.write_bytes(path.read_bytes()[:-1])

        def flipped(path):
            content = bytearray(path.read_bytes())
            content[1000] ^= 1
            path.write_bytes(content)

        return (gone, cut, flipped)[: None if self.reads_again else 2]

    def test_what_is_not_at_the_remote_as_it_was_delivered_is_not_deleted(self):
        for damage in self.damages():
            with self.subTest(damage.__name__):
                run = self.run_one()
                damage(self.there(run, "files/deep/model.pt"))
                before = content_of(run)
                done = self.poster("gc", "--delivered", "--larger", "50k", "--yes", check=1)
                self.assertIn("files/deep/model.pt is kept", self.said(done))
                self.assertEqual(content_of(run), before)
                # Nor is a damaged copy fetched.
                (run / "files" / "deep" / "model.pt").unlink()
                self.poster("fetch", run.name, "*.pt", check=1)
                self.assertEqual(os.listdir(run / "files" / "deep"), [])
                shutil.rmtree(run)

    def test_what_is_lost_at_the_remote_is_sent_again_by_the_next_sync(self):
        for damage in self.damages():
            with self.subTest(damage.__name__):
                run = self.run_one()
                before = content_of(run)
                damage(self.there(run, "files/deep/model.pt"))
                self.poster("gc", "--delivered", "--larger", "50k", check=1)  # a dry run writes nothing
                self.assertEqual(self.queued(), [])
                done = self.poster("gc", "--delivered", "--larger", "50k", "--yes", check=1)
                self.assertIn("the next poster sync sends it again", self.said(done))
                self.poster("sync", check=0)
                self.poster("gc", "--delivered", "--larger", "50k", "--yes", check=0)
                self.assertFalse((run / "files" / "deep" / "model.pt").exists())
                self.poster("fetch", run.name, check=0)
                self.assertEqual(content_of(run), before)
                shutil.rmtree(run)

    def test_what_has_changed_here_since_it_was_delivered_is_not_deleted(self):
        run = self.run_one()
        model = run / "files" / "deep" / "model.pt"
        facts = model.stat()
        model.write_bytes(b"MODEL" * 20000)
        done = self.poster("gc", "--delivered", "--larger", "50k", "--yes", check=0)
        self.assertIn("0 files", self.said(done))
        os.utime(model, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # as if it had not
        done = self.poster("gc", "--delivered", "--larger", "50k", "--yes", check=1)
        self.assertIn("files/deep/model.pt is kept: the one here differs", self.said(done))
        self.assertEqual(model.read_bytes(), b"MODEL" * 20000)

    def test_a_run_that_goes_on_keeps_its_files(self):
        code = "import os, pathlib, sys; pathlib.Path(os.environ['POSTER_FILES_DIR'], 'a').write_bytes(b'x' * 60000)"
        process = self.start(*python(code + "; print('saved', flush=True); sys.stdin.read()"), stdin=-1)
        self.wait_for(self.attempt_dir(self.only_run()) / "output.log", b"saved")
        self.sync_when_settled()
        done = self.poster("gc", "--delivered", "--yes", check=0)
        self.assertIn("0 files", self.said(done))
        self.assertTrue((self.only_run() / "files" / "a").exists())
        process.stdin.close()
        process.wait()

    def only_run(self):
        self.child_pid()
        return self.run_dir()

    def sync_when_settled(self):
        self.poster("sync", self.only_run().name)  # 1: what the run writes this moment is left for its end

    def test_rerun_with_its_code_and_continue_fetch_what_they_need(self):
        self.git("init", "-q")
        (self.cwd / "a.txt").write_text("one")
        self.git("add", "a.txt")
        self.git("commit", "-qm", "first")
        (self.cwd / "a.txt").write_text("two")
        run = self.run_one(3)
        self.poster("gc", "--delivered", "--yes", check=0)
        self.assertFalse((run / "code" / "diff.patch").exists())
        done = self.poster("rerun", run.name, "--checkout", check=3)
        self.assertIn(f"of run {run.name} from ", done.stderr.decode())
        self.assertTrue((run / "code" / "diff.patch").exists())
        self.assertFalse((run / "files" / "small.txt").exists())
        self.assertNotIn(b"fetching", done.stdout)
        (run / ".fetch-killed").mkdir()  # by a fetch of this kind
        done = self.poster("continue", run.name, check=3)
        self.assertFalse((run / ".fetch-killed").exists())
        self.assertIn(b"resumed with b'model'", done.stdout)

    def test_continue_refuses_where_what_it_needs_cannot_be_fetched(self):
        run = self.run_one(3)
        self.poster("gc", "--delivered", "--yes", check=0)
        self.there(run, "files/deep/model.pt").unlink()
        done = self.poster("continue", run.name)
        self.assertNotEqual(done.returncode, 3)
        self.assertIn("files/deep/model.pt of run", self.said(done))
        self.assertEqual(len(os.listdir(run / "attempts")), 1)


@poster_only
class FromADirectory(CommonTests, Fetching):
    def test_the_copy_of_a_run_that_went_on_is_recorded_and_nothing_else_is_touched(self):
        code = "import subprocess, sys; p = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(p.pid, flush=True)"
        process = self.start(*python(code + "; sys.stdin.read()"), stdin=subprocess.PIPE)
        run = self.only_run()
        self.wait_for(self.attempt_dir(run) / "output.log", b"\n")
        left_on_purpose = int(self.log(run))
        self.addCleanup(kill_quietly, left_on_purpose)
        records = ("run.json", "attempts/1/attempt.json")
        copied = lambda: self.sync_when_settled() or all(self.there(run, record).exists() for record in records)
        wait_until(copied, what="a copy of its records")
        here, self.store = self.store, self.tmp / "second"
        mailbox = self.tmp / "mailbox"
        second = {"program": POSTER_TEST, "env": {**self.env, "POSTER_SYNC_MODE": "auto", "POSTER_MAILBOX_PATH": str(mailbox)}}
        self.poster("fetch", "--all", **second, check=0)
        [row] = self.poster_json("ls", **second)
        self.assertEqual(row["status"], "running")
        self.assertIn(b"is a copy here", self.poster("stop", run.name, **second, check=1).stderr)
        self.assertIsNone(process.poll())

        process.stdin.close()
        process.wait()
        self.poster("sync", run.name, "--store", str(here), store=False, check=0)
        there = content_of(self.there(run))
        self.assertEqual(json.loads(there["attempts/1/attempt.json"])["status"], "finished")
        [row] = self.poster_json("ls", **second)
        self.assertEqual((row["status"], row["reason"]), ("lost", "lost: it went on when this copy of it was made"))
        self.assertTrue(is_running(left_on_purpose))
        self.assertFalse(mailbox.exists())
        self.assertEqual(os.listdir(self.store / "active"), [])
        self.assertEqual(self.poster("sync", "--dry-run", **second, check=0).stdout, b"")
        self.assertEqual(content_of(self.there(run)), there)
        kill_quietly(left_on_purpose)

    def test_a_fetched_copy_of_a_run_that_went_on_replaces_nothing_newer(self):
        code = """
            import os, pathlib, sys
            files = pathlib.Path(os.environ["POSTER_FILES_DIR"])
            (files / "model").write_text("early")
            print("saved", flush=True)
            sys.stdin.readline()
            (files / "model").write_text("later")
            (files / "more").write_text("more")
        """
        process = self.start(*python(textwrap.dedent(code)), stdin=subprocess.PIPE)
        run = self.only_run()
        early = ("run.json", "attempts/1/attempt.json", "files/model")
        copied = lambda: self.sync_when_settled() or all(self.there(run, path).exists() for path in early)
        wait_until(copied, what="a first copy")
        first, self.store = self.store, self.tmp / "second"
        self.poster("fetch", "--all", check=0)
        process.stdin.close()
        process.wait()
        self.poster_json("ls")  # which records here that it is lost, later than its end
        self.poster("sync", run.name, "--store", first, store=False, check=0)
        there, manifest = content_of(self.there(run)), self.there(run, "manifest.json").read_bytes()
        self.assertEqual((there["files/model"], there["files/more"]), (b"later", b"more"))

        said = self.said(self.poster("sync", run.name, check=1))
        self.assertIn("attempts/1/attempt.json failed: the copy of attempts/1/attempt.json is newer", said)
        self.assertNotIn("files/", said)  # nobody has changed them here
        self.assertEqual(content_of(self.there(run)), there)
        self.assertEqual(self.there(run, "manifest.json").read_bytes(), manifest)

        [copy] = self.run_dirs()
        (copy / "files" / "mine").write_text("mine")
        self.poster("sync", run.name, check=1)
        self.assertEqual(content_of(self.there(run)), {**there, "files/mine": b"mine"})
        (copy / "files" / "model").write_text("newest")
        (copy / "attempts" / "1" / "attempt.json").unlink()
        self.poster("fetch", run.name, "attempts/1/attempt.json", check=0)
        self.poster("sync", run.name, check=0)
        there |= {"files/mine": b"mine", "files/model": b"newest"}
        self.assertEqual(content_of(self.there(run)), there)

        # Nor does the first store, which knows nothing of the second, take anything from what is there.
        self.store = first
        self.poster("tag", run.name, "good", check=0)
        self.poster("sync", run.name, check=0)
        self.store = self.tmp / "third"
        self.poster("fetch", "--all", check=0)
        fetched = content_of(self.run_dir())
        self.assertEqual(fetched, {**there, "run.json": (first / "runs" / run.name / "run.json").read_bytes()})

    def test_what_is_there_comes_back_whichever_of_two_stores_had_the_last_word(self):
        """By what the other one leaves: a manifest from before, or an older file with its manifest."""
        for replaces in (False, True):
            with self.subTest(replaces=replaces):
                run = self.run_one()
                manifest = self.there(run, "manifest.json").read_bytes()
                (run / "files" / "small.txt").write_bytes(b"second")
                self.sync(run)
                if replaces:
                    other = {"bytes": 5, "sha256": hashlib.sha256(b"third").hexdigest(), "modified_ns": 1}
                    self.there(run, "files/small.txt").write_bytes(b"third")
                    is_small = lambda file: file["path"] == "files/small.txt"
                    self.edit_manifest(run, lambda files: next(filter(is_small, files)).update(other))
                else:
                    self.there(run, "manifest.json").write_bytes(manifest)
                (run / "files" / "new").write_bytes(b"new")
                self.sync(run)
                content = content_of(run) | {"files/small.txt": b"third" if replaces else b"second"}
                shutil.rmtree(run)
                self.poster("fetch", run.name, check=0)
                self.assertEqual(content_of(run), content)

    def test_a_hostile_manifest_leads_nowhere(self):
        outside = self.tmp / "outside"
        outside.mkdir()
        content = b"evil"
        entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "modified_ns": 0}
        hostile = [
            "../../../outside/a",
            "files/../../../../outside/a",
            str(outside / "a"),
            "files//a",
            "files/./a",
            "",
            ".",
            "..",
            "files/a/",
            "outbox/queue.x.1.jsonl",
            "outbox/local.x.jsonl",
            "worktree/a",
            "attempts/1/lock",
            "attempts/1/heartbeat",
            "files/" + "a" * 300,
            "a/" * 3000 + "a",
            "files/nul\0byte",
        ]
        run = self.run_one()
        before = self.lose_store()[run.name]
        good = self.there(run, "manifest.json").read_bytes()
        for path in hostile:
            with self.subTest(path[:60]):
                for place in (self.there(run, path.replace("\0", "")), self.place / path.replace("\0", "")):
                    with contextlib.suppress(OSError):
                        if place.resolve().is_relative_to(self.place) and not place.exists():
                            place.parent.mkdir(parents=True, exist_ok=True)
                            place.write_bytes(content)
                self.edit_manifest(run, lambda files: files.append({**entry, "path": path}))
                self.poster("fetch", "--all", check=1)
                for fetched in self.run_dirs():
                    self.assertEqual(content_of(fetched), before)
                    self.assertEqual(set(os.listdir(fetched / "outbox")) & {"queue.x.1.jsonl", "local.x.jsonl"}, set())
                self.assertEqual(os.listdir(outside), [])
                shutil.rmtree(self.store)
                self.there(run, "manifest.json").write_bytes(good)

    def test_manifests_of_odd_types_are_refused_in_words(self):
        run = self.run_one()
        shutil.rmtree(self.store)
        good = json.loads(self.there(run, "manifest.json").read_text())
        unhashed = [{**file, "sha256": ""} for file in good["files"]]
        for odd in (
            b"",
            b"[]",
            b"null",
            b"{",
            b'{"format": 2, "files": []}',
            b'{"format": 1, "files": 7}',
            b'{"format": 1, "files": [7]}',
            b'{"format": 1, "files": {"path": "run.json"}}',
            json.dumps({**good, "files": [{**file, "bytes": -1} for file in good["files"]]}).encode(),
            json.dumps({**good, "files": [{**file, "bytes": "1"} for file in good["files"]]}).encode(),
            json.dumps({**good, "files": [{**file, "path": 7} for file in good["files"]]}).encode(),
            json.dumps({**good, "files": [{**file, "sha256": ""} for file in good["files"]]}).encode(),
            json.dumps({**good, "files": [{**file, "sha256": "../../x"} for file in good["files"]]}).encode(),
            json.dumps({**good, "files": [{**file, "sha256": "0" * 64, "coming": unhashed} for file in good["files"]]}).encode(),
            b'{"format":1,"files":' + b"[" * 100000,
        ):
            with self.subTest(odd[:60]):
                self.there(run, "manifest.json").write_bytes(odd)
                done = self.poster("fetch", "--all", check=1)
                self.assertIn(run.name, self.said(done))
                self.assertEqual(self.run_dirs(), [])
        self.there(run, "manifest.json").write_text(json.dumps(good))
        self.poster("fetch", "--all", check=0)

    def test_no_link_is_followed_here_or_there(self):
        run = self.run_one()
        outside = self.tmp / "outside"
        outside.mkdir()
        shutil.rmtree(run / "files" / "deep")
        (run / "files" / "deep").symlink_to(outside)
        self.poster("fetch", run.name, check=1)
        self.assertEqual(os.listdir(outside), [])
        (run / "files" / "deep").unlink()
        self.there(run, "files/small.txt").unlink()
        self.there(run, "files/small.txt").symlink_to("/etc/hostname")
        (run / "files" / "small.txt").unlink()
        self.poster("fetch", run.name, check=1)
        self.assertFalse((run / "files" / "small.txt").exists())
        self.assertTrue((run / "files" / "deep" / "model.pt").exists())

    def test_a_fetch_that_was_cut_short_goes_on_where_it_stopped(self):
        run = self.run_one()
        before = self.lose_store()
        hidden = self.place / "runs" / "hidden"
        # As if the place had gone away in the middle: a file that cannot be read for now.
        shutil.move(self.there(run, "files/deep/model.pt"), hidden)
        self.poster("fetch", "--all", check=1)
        shutil.rmtree(self.store / "runs" / run.name, ignore_errors=True)
        shutil.move(hidden, self.there(run, "files/deep/model.pt"))
        self.poster("fetch", "--all", check=0)
        self.assertEqual(content_of(self.run_dir()), before[run.name])

    def test_a_place_that_is_not_there_is_said_and_nothing_is_made(self):
        run = self.run_one()
        shutil.rmtree(self.store)
        shutil.move(self.place, self.tmp / "unplugged")
        done = self.poster("fetch", "--all", check=1)
        self.assertIn(str(self.place), self.said(done))
        self.assertFalse((self.store / "runs").exists() and os.listdir(self.store / "runs"))
        shutil.move(self.tmp / "unplugged", self.place)
        self.poster("fetch", "--all", check=0)
        self.assertEqual(self.run_dir().name, run.name)

    def test_an_unplugged_place_keeps_everything_here(self):
        run = self.run_one()
        before = content_of(run)
        shutil.move(self.place, self.tmp / "unplugged")
        self.poster("gc", "--delivered", "--yes", check=1)
        self.assertEqual(content_of(run), before)

    def test_callbacks_that_are_off_or_unknown_are_said(self):
        run = self.run_one()
        done = self.poster("fetch", run.name, "--from", "metrics", check=2)
        self.assertIn("no callback 'metrics' keeps copies", self.said(done))
        self.settings("")
        for words in ((), ("--from", "local")):
            done = self.poster("fetch", run.name, *words, check=1)
            self.assertIn("no remote is set up here: ", self.said(done))
            self.assertIn("local is off: local.path is not set", self.said(done))

    def test_removed_runs_stay_removed(self):
        run = self.run_one()
        self.poster("rm", "-y", run.name, check=0)
        self.poster("fetch", "--all", check=0)
        self.assertEqual(self.run_dirs(), [])

    def test_plain_gc_contacts_nobody(self):
        run = self.run_one()
        shutil.move(self.place, self.tmp / "unplugged")
        self.poster("gc", "--older", "0", check=0)
        self.assertTrue((run / "files" / "small.txt").exists())
        for options in (["--yes"], ["--from", "local"], ["--larger", "1M"], ["--delivered", "--yes", "--dry-run"]):
            self.poster("gc", *options, check=2)


class OverS3(Fetching):
    callback = "s3"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(s3())
        cls.bucket = cls.server.make_bucket("runs")


@poster_only
class FromS3(CommonTests, OverS3):
    reads_again = False

    def configure(self):
        self.place = self.bucket / self.tmp.name
        self.env |= self.server.env
        self.settings(f'[s3]\nbucket = "runs"\nprefix = "{self.tmp.name}"\nendpoint = "{self.server.endpoint}"\n')

    def test_what_another_place_has_yet_to_get_is_not_deleted(self):
        run = self.run_one()
        before = content_of(run)
        nas = self.tmp / "unplugged"
        with (self.cwd / "poster.toml").open("a") as settings:
            settings.write(f'[local]\npath = "{nas}"\n')
        self.poster("sync", run.name, check=1)  # the NAS is unplugged
        done = self.poster("gc", "--delivered", "--yes", check=1)
        self.assertIn(f"files/deep/model.pt is kept: it has yet to be copied to file://{nas}", self.said(done))
        self.assertEqual(content_of(run), before)
        nas.mkdir()
        self.poster("sync", run.name, check=0)
        self.poster("gc", "--delivered", "--yes", check=0)
        self.assertNotIn("files/deep/model.pt", content_of(run))
        self.assertEqual(content_of(nas / "runs" / run.name), before)

    def test_a_network_that_breaks_leaves_whole_files_and_the_next_fetch_brings_the_rest(self):
        run = self.run_one()
        for name in range(20):
            (run / "files" / f"{name}.bin").write_bytes(os.urandom(50000))
        self.sync(run)
        before = self.lose_store()
        with self.server.proxy() as proxy:
            self.env["POSTER_S3_ENDPOINT"] = f"http://127.0.0.1:{proxy.port}"
            for mode, bytes in (("refuse", 0), ("cut", 3000), ("cut", 30000), ("cut", 80000)):
                proxy.set(mode, bytes, direction="down")
                self.poster("fetch", "--all")
                for fetched in self.run_dirs():
                    self.assertEqual(content_of(fetched), before[run.name])
            proxy.set("pass")
            self.poster("fetch", "--all", check=0)
        self.assertEqual(content_of(self.run_dir()), before[run.name])

    def test_a_flipped_bit_there_is_not_fetched(self):
        run = self.run_one()
        copy = self.there(run, "files/deep/model.pt")
        content = bytearray(copy.read_bytes())
        content[1000] ^= 1
        with open(copy, "r+b") as file:
            file.write(content)
        (run / "files" / "deep" / "model.pt").unlink()
        self.poster("fetch", run.name, check=1)
        self.assertEqual(os.listdir(run / "files" / "deep"), [])


@poster_only
class KilledBetweenAFileAndItsManifest(OverS3):
    """`poster sync`, when files of a run replace the copies of them that are there."""

    def configure(self):
        self.place = self.bucket / self.tmp.name
        self.front = self.enterContext(S3Front(self.server))
        self.env |= {**self.server.env, "POSTER_S3_ENDPOINT": self.front.endpoint, "NO_PROXY": "*"}
        self.settings(f'[s3]\nbucket = "runs"\nprefix = "{self.tmp.name}"\n')

    def sync_killed(self, run, *puts, arrives=False):
        """When the last of these files is put, once the others have been, in this order; it goes to the server or nowhere."""
        awaited = list(puts)
        starting = threading.Lock()

        def is_next(request):
            return bool(awaited) and request.method == "PUT" and request.path.endswith(awaited[0])

        def kill():
            awaited.clear()
            process.kill()
            process.wait()

        def before(request):
            with starting:
                pass
            if is_next(request) and len(awaited) > 1:
                awaited.pop(0)
            elif is_next(request) and not arrives:
                kill()
            return error(503, "SlowDown") if process.returncode is not None else None

        self.front.before = before
        self.front.after = lambda request, answer: kill() if is_next(request) and len(awaited) == 1 else None
        with starting:
            process = self.start_poster("sync", run.name, "--jobs", "1")
        process.wait(60)
        self.front.before, self.front.after = lambda request: None, lambda request, answer: None
        self.assertEqual(awaited, [])

    def assert_comes_back(self, run, content):
        self.lose_store()
        self.poster("fetch", "--all", check=0)
        self.assertEqual(content_of(self.run_dir()), content)
        self.assertEqual(self.queued(), [])
        self.assertIn(b"nothing of run", self.poster("fetch", run.name, check=0).stderr)

    def test_the_file_comes_back_as_it_is_there(self):
        small, model = "files/small.txt", "files/deep/model.pt"  # the one of the same size is sent first
        for puts, arrives, replaced in (
            ((small,), False, ()),
            ((small,), True, (small,)),  # and nobody was told
            ((small, model), False, (small,)),
            ((small, model, "/manifest.json"), False, (small, model)),
        ):
            with self.subTest(puts=puts, arrives=arrives):
                run = self.run_one()
                old = content_of(run)
                (run / small).write_bytes(b"SMALL")
                (run / model).write_bytes(b"longer" * 20000)
                new = content_of(run)
                self.sync_killed(run, *puts, arrives=arrives)
                self.assert_comes_back(run, {**old, **{path: new[path] for path in replaced}})
                shutil.rmtree(self.place)
                shutil.rmtree(self.store)

    def test_what_an_earlier_sync_that_was_killed_has_brought_is_not_forgotten_by_the_next_one(self):
        run = self.run_one()
        (run / "files" / "small.txt").write_bytes(b"SMALL")
        second = content_of(run)
        self.sync_killed(run, "files/small.txt", arrives=True)
        (run / "files" / "small.txt").write_bytes(b"third")
        self.sync_killed(run, "files/small.txt")
        self.assert_comes_back(run, second)

    def test_the_next_sync_leaves_nothing_of_it(self):
        run = self.run_one()
        (run / "files" / "small.txt").write_bytes(b"SMALL")
        self.sync_killed(run, "files/small.txt", "/manifest.json")
        self.assertIn("coming", self.there(run, "manifest.json").read_text())
        self.sync(run)
        self.assertNotIn("coming", self.there(run, "manifest.json").read_text())
        self.assertFalse((run / "outbox" / "s3.manifest.json").exists())
        self.assert_comes_back(run, content_of(run))

    def test_fetched_in_part_the_file_in_doubt_comes_too(self):
        run = self.run_one(3)
        (run / "files" / "small.txt").write_bytes(b"SMALL")
        new = content_of(run)
        self.sync_killed(run, "files/small.txt", "/manifest.json")
        self.lose_store()
        self.poster("fetch", "--all", "attempts/", check=0)
        self.assertEqual((self.run_dir() / "files" / "small.txt").read_bytes(), b"SMALL")
        self.assertFalse((self.run_dir() / "files" / "deep").exists())
        self.poster("fetch", run.name, check=0)
        self.assertEqual(content_of(self.run_dir()), new)

    def test_a_file_that_is_neither_is_refused(self):
        run = self.run_one()
        (run / "files" / "small.txt").write_bytes(b"SMALL")
        self.sync_killed(run, "files/small.txt", "/manifest.json")
        self.lose_store()
        self.there(run, "files/small.txt").write_bytes(b"other")
        said = self.said(self.poster("fetch", "--all", check=1))
        self.assertIn("small.txt is not what was copied there", said)
        self.assertFalse((self.run_dir() / "files" / "small.txt").exists())


class OverSsh(Fetching):
    callback = "scp"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(sshd())

    def use(self, to):
        self.settings(f'[scp]\nto = "{to}"\nssh_config = "{self.server.ssh_config}"\n')


@poster_only
class FromAShellAccount(CommonTests, OverSsh):
    def configure(self):
        self.use(f"ptest:{self.place}")


@poster_only
class FromAnSftpAccount(CommonTests, OverSsh):
    def configure(self):
        need_root("an account in a chroot")
        self.place = self.server.sftp_root / "data" / self.tmp.name
        self.use(f"psftp:/data/{self.tmp.name}")


@poster_only
class KilledAtAnyMoment(Fetching):
    """SIGKILL of poster, at moments spread over the time that the command takes."""

    def killed(self, share, *arguments):
        """Runs it, and kills it after that share of the time that it took when nobody did."""
        process = self.start_poster(*arguments)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.duration * share)
        process.kill()
        process.wait()

    def test_a_fetch_that_was_killed_leaves_whole_files_and_the_next_one_brings_the_rest(self):
        for _ in range(3):
            run = self.run_one()
            for name in range(40):
                (run / "files" / f"{name}.bin").write_bytes(os.urandom(20000))
            self.sync(run)
        before = self.lose_store()
        began = time.monotonic()
        self.poster("fetch", "--all", check=0)
        self.duration = time.monotonic() - began
        for moment in range(30):
            shutil.rmtree(self.store)
            self.killed(moment / 30, "fetch", "--all")
            for run in self.run_dirs():  # in the store only when it is whole
                self.assertEqual(content_of(run), before[run.name])
            self.poster("fetch", "--all", check=0)
            self.assertEqual({run.name: content_of(run) for run in self.run_dirs()}, before)
            self.assertFalse([path for path in self.store.rglob(".fetch-*")])
        self.assertEqual(self.queued(), [])

    def test_a_gc_that_was_killed_has_deleted_only_what_can_be_fetched(self):
        run = self.run_one()
        for name in range(40):
            (run / "files" / f"{name}.bin").write_bytes(os.urandom(20000))
        self.sync(run)
        before = content_of(run)
        began = time.monotonic()
        self.poster("gc", "--delivered", "--yes", check=0)
        self.duration = time.monotonic() - began
        for moment in range(30):
            self.poster("fetch", run.name, check=0)
            self.assertEqual(content_of(run), before)
            self.killed(moment / 30, "gc", "--delivered", "--yes")
            left = content_of(run)
            self.assertEqual(left, {path: before[path] for path in left})
            told = {file["path"]: file for file in self.poster_json("files", run.name, "--all")}
            for path in before.keys() - left.keys():
                self.assertEqual(told[path].get("at"), "local", path)


if __name__ == "__main__":
    main()
