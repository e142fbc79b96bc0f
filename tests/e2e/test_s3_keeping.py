"""What is in S3 stays what it is: brought back whole, deleted here only when it is there, and freed of broken uploads."""

import json
import os
import shutil
import signal
import unittest

from harness import main, needs_venv, wait_until
from s3_case import MEBIBYTE, S3Case
from services import S3Front

DAY = 86400

# Uploads that were begun and are not ended, each with a part.
BEGUN = """
result = []
for key in keys:
    id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    client.upload_part(Bucket=bucket, Key=key, UploadId=id, PartNumber=1, Body=b"x")
    result.append(id)
"""

UPLOADS = """
result = []
for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
    result += [[upload["Key"], upload["UploadId"]] for upload in page.get("Uploads", [])]
"""

OVERWRITE = "client.put_object(Bucket=bucket, Key=key, Body=client.get_object(Bucket=bucket, Key=key)['Body'].read()[:-1] + b'?')"


@needs_venv
class Leftovers(S3Case):
    def begin(self, *keys):
        return self.boto3(BEGUN, bucket=self.bucket, keys=list(keys))

    def uploads(self):
        return sorted(key for key, _ in self.boto3(UPLOADS, bucket=self.bucket))

    def age(self, *ids):
        """As if they had been begun two days ago."""
        ended = {path.name: path for path in self.objects.rglob("*") if path.is_dir()}
        for upload in ids:
            then = os.stat(ended[upload]).st_mtime - 2 * DAY
            os.utime(ended[upload], (then, then))

    def setUp(self):
        super().setUp()
        self.make_run("a")

    def test_old_ones_of_runs_are_removed_and_nobody_elses(self):
        self.env |= {"POSTER_S3_PREFIX": "team"}
        run = "20250101-000000-aaaa"
        ours = [f"team/runs/{run}/files/a b+ü.bin", f"team/runs/{run}/files/large.bin"]
        others = [
            f"runs/{run}/files/a", f"team2/runs/{run}/files/a", f"team/runs2/{run}/files/a",
            "team/runs/not-a-run/a", f"team/runs/{run}", "team/other",
        ]  # fmt: skip
        ids = self.begin(*ours, *others)
        self.age(*ids)
        self.begin(ours[0])  # a young one, of the same key
        shown = self.poster("gc", "--remote", check=0).stderr.decode()
        self.assertIn("2 remnants of broken uploads could be removed", shown)
        self.assertEqual(self.uploads(), sorted([*ours, *others, ours[0]]))
        self.poster("gc", "--remote", "--dry-run", check=0)
        self.assertEqual(len(self.uploads()), len([*ours, *others, ours[0]]))
        shown = self.poster("gc", "--delivered", "--yes", check=0).stderr.decode()
        self.assertIn("2 remnants of broken uploads removed", shown)
        self.assertEqual(self.uploads(), sorted([*others, ours[0]]))
        self.poster("gc", "--remote", "--older", "0s", "--yes", check=0)
        self.assertEqual(self.uploads(), sorted(others))

    def test_all_of_them_over_pages(self):
        self.begin(*(f"runs/20250101-000000-aaaa/files/{i}/ü +%20" for i in range(9)))
        marked = []

        def before(request):
            if "uploads" in request.query:
                request.query["max-uploads"] = "2"
                # This server takes it only of keys after the other marker, and so never those that it gives.
                marked.append((request.query.get("key-marker"), request.query.pop("upload-id-marker", None)))

        with S3Front(self.server) as front:
            self.through(front)
            front.before = before
            shown = self.poster("gc", "--remote", "--older", "0s", "--yes", check=0).stderr.decode()
        self.assertEqual(len(marked), 5)
        self.assertTrue(all(key and upload for key, upload in marked[1:]), marked)
        self.assertIn("9 remnants", shown)
        self.assertEqual(self.uploads(), [])

    def test_what_a_kill_left_of_a_file_that_is_gone(self):
        run = self.make_run(large=40 * MEBIBYTE)
        with self.server.proxy() as proxy:
            self.through(proxy)
            proxy.set("slow", 20 * MEBIBYTE)
            process = self.start_poster("sync")
            wait_until(lambda: proxy.moved["up"] > 15 * MEBIBYTE, what="some parts")
            process.kill()
            process.wait()
        self.through(self.server)
        [upload] = self.boto3(UPLOADS, bucket=self.bucket)
        (run / "files" / "large.bin").unlink()
        self.sync()
        self.poster("gc", "--delivered", "--yes", check=0)
        self.assertEqual(len(self.uploads()), 1)  # young
        self.age(upload[1])
        self.poster("gc", "--remote", "--yes", check=0)
        self.assertEqual(self.uploads(), [])

    def test_a_file_that_arrives_takes_its_broken_uploads_along(self):
        run = self.make_run(large=11 * MEBIBYTE)
        key = f"runs/{run.name}/files/large.bin"
        self.begin(key, key, key + "2")
        self.sync()
        self.assertEqual(self.uploads(), [key + "2"])


@needs_venv
class Back(S3Case):
    """A store that is brought back, over a network and from a server that fail in the middle."""

    def setUp(self):
        super().setUp()
        self.proxy = self.enterContext(self.server.proxy())
        self.through(self.proxy)
        self.run_there = self.make_run("a", "b", large=21 * MEBIBYTE)
        self.sync()
        self.content = {path: (self.run_there / path).read_bytes() for path in self.files_of(self.run_there)}
        shutil.rmtree(self.store)

    def assert_whole_or_not_there(self):
        for run in self.run_dirs():
            self.assert_here(run)

    def assert_here(self, run):
        there = {path: (run / path).read_bytes() for path in self.files_of(run) if path.name != "manifest.json"}
        self.assertEqual(there, self.content)

    def test_a_fetch_that_is_killed_and_repeated(self):
        self.proxy.set("slow", 40 * MEBIBYTE, direction="down")
        for share in range(1, 8):
            before = self.proxy.moved["down"]
            process = self.start_poster("fetch", "--all")
            wait_until(
                lambda: self.proxy.moved["down"] - before > share * 2.5 * MEBIBYTE or process.poll() is not None, what="a share"
            )
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assert_whole_or_not_there()
        self.proxy.set("pass")
        self.poster("fetch", "--all", check=0)
        self.assert_here(self.run_there)
        self.poster("gc", "--older", "0", check=0)
        self.assertEqual([path for path in self.store.rglob(".fetch-*")], [])

    def test_a_server_that_dies_in_the_middle_and_comes_back(self):
        before = self.proxy.moved["down"]
        self.proxy.set("slow", 5 * MEBIBYTE)
        process = self.start_poster("fetch", "--all")
        wait_until(lambda: self.proxy.moved["down"] - before > 2 * MEBIBYTE, what="a share")
        os.kill(int((self.server.state / "http.pid").read_text()), signal.SIGKILL)
        try:
            self.assertEqual(process.wait(60), 1)
            self.assert_whole_or_not_there()
            self.assertIn(b"s3", self.poster("fetch", "--all", check=1).stderr)
        finally:
            self.server.start()
        self.proxy.set("pass")
        self.poster("fetch", "--all", check=0)
        self.assert_here(self.run_there)

    def test_a_connection_that_is_cut_in_each_part_is_taken_up_in_it(self):
        self.proxy.set("cut", 4 * MEBIBYTE, direction="down", times=3)
        self.poster("fetch", "--all", check=0)
        self.assertEqual(self.proxy.cuts, 3)
        self.assert_here(self.run_there)


@needs_venv
class Damage(S3Case):
    """Copies that are no longer what was delivered: never deleted here, never fetched."""

    def setUp(self):
        super().setUp()
        self.kept = self.make_run("a", large=11 * MEBIBYTE)
        self.sync()
        self.copies = self.objects / "runs" / self.kept.name / "files"

    def assert_noticed(self, *names, why):
        """By gc, which keeps those here, and, where there are none, by fetch; and mended by the next sync."""
        before = {name: (self.kept / "files" / name).read_bytes() for name in names}
        done = self.poster("gc", "--delivered", "--yes", check=1)
        for name in names:
            local = self.kept / "files" / name
            self.assertIn(f"files/{name} is kept", done.stderr.decode())
            self.assertIn(why, done.stderr.decode())
            self.assertTrue(local.read_bytes() == before[name])
            local.rename(self.tmp / "aside")
            fetched = self.poster("fetch", self.kept.name, name, check=1)
            self.assertIn(why, (fetched.stdout + fetched.stderr).decode())
            self.assertFalse(local.exists())
            self.assertEqual([path.name for path in local.parent.iterdir() if path.name.startswith(".")], [])
            (self.tmp / "aside").rename(local)
        self.sync()
        for name in names:
            self.assertTrue((self.copies / name).read_bytes() == before[name])

    def test_overwritten_by_another_program(self):
        for name in ("a", "large.bin"):
            self.boto3(OVERWRITE, bucket=self.bucket, key=f"runs/{self.kept.name}/files/{name}")
        self.assert_noticed("a", "large.bin", why="is not what was copied there")

    def test_put_again_with_the_same_bytes_by_another_program_is_no_damage(self):
        """Nothing at the server says its hash then: it is read."""
        for name in ("a", "large.bin"):
            code = "client.put_object(Bucket=bucket, Key=key, Body=client.get_object(Bucket=bucket, Key=key)['Body'].read())"
            self.boto3(code, bucket=self.bucket, key=f"runs/{self.kept.name}/files/{name}")
        self.poster("gc", "--delivered", "--yes", check=0)
        self.assertEqual(list((self.kept / "files").iterdir()), [])

    def test_shortened(self):
        with open(self.copies / "large.bin", "r+b") as file:
            file.truncate(10 * MEBIBYTE)
        self.assert_noticed("large.bin", why="is not what was copied there")

    def test_deleted(self):
        (self.copies / "large.bin").unlink()
        self.assert_noticed("large.bin", why="is not there")

    def test_rotten_on_the_disk_of_the_server(self):
        """Which it does not notice: that takes reading."""
        with open(self.copies / "large.bin", "r+b") as file:
            file.seek(7 * MEBIBYTE)
            byte = file.read(1)
            file.seek(7 * MEBIBYTE)
            file.write(bytes([byte[0] ^ 4]))
        self.env |= {"POSTER_S3_READ_BACK": "true"}
        self.assert_noticed("large.bin", why="is not what was copied there")

    def test_what_is_sound_goes_and_comes_also_when_it_is_read(self):
        self.env |= {"POSTER_S3_READ_BACK": "true"}
        large = self.kept / "files" / "large.bin"
        content = large.read_bytes()
        self.poster("gc", "--delivered", "--yes", check=0)
        self.assertFalse(large.exists())
        self.poster("fetch", self.kept.name, check=0)
        self.assertEqual(large.read_bytes(), content)
        files = {file["path"]: file for file in json.loads((self.copies.parent / "manifest.json").read_text())["files"]}
        self.assertEqual(files["files/large.bin"]["bytes"], len(content))


if __name__ == "__main__":
    main()
