"""Files that are no files any more when their turn comes: `poster sync` has looked at them before."""

import os
import signal
import time

from copies import CopiesTest
from harness import main, poster_only
from services import S3Front, s3, sshd

SECRET = b"outsiders!"  # as long as what it takes the place of


class Swapped(CopiesTest):
    large = 100_000_000  # bytes, which take a while

    def setUp(self):
        super().setUp()
        self.root = self.tmp / "copies"
        self.root.mkdir()
        self.outside = self.tmp / "outside"
        self.outside.write_bytes(SECRET)
        os.utime(self.outside, (1, 2))  # where the file system keeps the time of the last access, whoever reads it is seen

    def prepare(self):
        """Copies that are to be replaced, and files that are new; the large one comes before all that is looked at here."""
        old = {f"replaced/{kind}": b"1" * 10 for kind in ("fifo", "link", "kept")}
        run = self.make_run(old)
        self.assertEqual(self.sync().returncode, 0)
        new = {f"replaced/{kind}": b"2" * 10 for kind in ("fifo", "link", "kept")}
        new |= {f"z/{kind}": b"3" * 10 for kind in ("fifo", "link", "kept")}
        self.save(run, new | {"first": b"0", "large": os.urandom(self.large)})
        return run

    def swap(self, run):
        for folder in ("replaced", "z"):
            for kind in ("fifo", "link"):
                path = run / "files" / folder / kind
                path.unlink()
                os.mkfifo(path) if kind == "fifo" else path.symlink_to(self.outside)

    def sync_and_swap(self, run):
        """Stopped as soon as something is there: the large file is next, or on its way."""
        process = self.start_poster("sync", run.name, "--jobs", "1")
        while not [*self.there(run).glob("files/first"), *self.root.rglob("*.part")]:
            self.assertIsNone(process.poll())
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        self.assertFalse((self.there(run) / "files" / "large").exists())
        self.swap(run)
        process.send_signal(signal.SIGCONT)
        return process.wait(60)

    def there(self, run):
        return self.root / "runs" / run.name

    def contents(self):
        return {str(path): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}

    def assert_the_rest_arrived_and_nothing_else(self, run):
        there = self.there(run) / "files"
        found = {str(path.relative_to(there)): path.read_bytes()[:10] for path in there.rglob("[!.]*") if path.is_file()}
        self.assertEqual((found.pop("first"), len(found.pop("large"))), (b"0", 10))
        for kind in ("fifo", "link"):  # opened before, they may be there as they were
            self.assertEqual(found.pop(f"z/{kind}", b"3" * 10), b"3" * 10)
        replaced = {"replaced/kept": b"2" * 10, "replaced/fifo": b"1" * 10, "replaced/link": b"1" * 10}
        self.assertEqual(found, {**replaced, "z/kept": b"3" * 10})
        self.assertEqual((there / "large").read_bytes(), (run / "files" / "large").read_bytes())
        self.assertEqual([path for path, content in self.contents().items() if SECRET in content], [])
        self.assertEqual(self.outside.stat().st_atime, 1)

    def check(self):
        run = self.prepare()
        self.assertEqual(self.sync_and_swap(run), 0)
        self.assert_the_rest_arrived_and_nothing_else(run)
        self.assertEqual(self.sync().returncode, 0)
        self.assert_the_rest_arrived_and_nothing_else(run)
        self.store = self.tmp / "second"
        self.assertEqual(self.poster("fetch", run.name).returncode, 0)
        [fetched] = self.run_dirs()
        self.assertEqual((fetched / "files" / "replaced" / "link").read_bytes(), b"1" * 10)


@poster_only
class Local(Swapped):
    def test_what_took_their_place_is_not_read(self):
        self.env |= {"POSTER_LOCAL_PATH": str(self.root)}
        self.check()


@poster_only
class Scp(Swapped):
    def test_what_took_their_place_is_not_read(self):
        server = self.enterContext(sshd())
        self.env |= {"POSTER_SCP_TO": f"ptest:{self.root}", "POSTER_SCP_SSH_CONFIG": str(server.ssh_config)}
        self.check()


@poster_only
class S3(Swapped):
    large = 1_000_000

    def test_what_took_their_place_is_not_read(self):
        server = self.enterContext(s3())
        self.root = server.make_bucket("runs")
        self.front = self.enterContext(S3Front(server))
        self.env |= {**server.env, "POSTER_S3_ENDPOINT": self.front.endpoint, "POSTER_S3_BUCKET": "runs", "NO_PROXY": "*"}
        self.check()
        self.assertEqual([request for request in self.front.requests if SECRET in request.body], [])

    def sync_and_swap(self, run):
        """While the large file is on its way."""
        swapped = []

        def before(request):
            if request.path.endswith("/large") and not swapped:
                self.swap(run)
                swapped.append(request)

        self.front.before = before
        status = self.sync("--jobs", "1").returncode
        self.assertTrue(swapped)
        return status


if __name__ == "__main__":
    main()
