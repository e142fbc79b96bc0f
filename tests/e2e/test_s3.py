"""Copies of runs in S3, against a strict server, read back with boto3."""

import os
import pathlib
import signal
import subprocess
import unittest

import delivered
from harness import main, needs_venv, wait_until
from s3_case import MEBIBYTE, ODD_NAMES, S3Case
from services import FaultProxy, small_disk


HASHES = """
import hashlib
read = lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read()
result = {key: hashlib.sha256(read(key)).hexdigest() for key in keys}
"""


@needs_venv
class Copies(S3Case):
    def test_a_run_arrives_byte_for_byte_whatever_its_files_are_called(self):
        run = self.make_run(*ODD_NAMES, "empty/below/deep.txt")
        (run / "files" / "nothing").touch()
        self.sync()
        self.assert_arrived(run)

    def test_a_large_file_goes_in_parts_and_is_known_by_its_hash(self):
        run = self.make_run(large=17 * MEBIBYTE + 5)
        self.sync()
        large = self.assert_arrived(run)[f"runs/{run.name}/files/large.bin"]
        self.assertTrue(large["etag"].strip('"').endswith("-4"), large)
        self.assertIn(len(large["metadata"].get("sha256", "")), (0, 64))  # where it was known when the upload began

    def test_below_a_prefix_with_spaces_and_over_tls(self):
        self.env |= {"POSTER_S3_ENDPOINT": self.server.endpoint_tls, "POSTER_S3_CA_FILE": str(self.server.ca_file)}
        self.env |= {"POSTER_S3_PREFIX": "/my team/ü/"}
        run = self.make_run(*ODD_NAMES, large=6 * MEBIBYTE)
        self.sync()
        for path in (run / "files").iterdir():
            copy = self.objects / "my team" / "ü" / "runs" / run.name / "files" / path.name
            self.assertEqual(copy.read_bytes(), path.read_bytes())

    def test_nothing_is_sent_twice(self):
        run = self.make_run("a", "b", large=12 * MEBIBYTE)
        self.sync()
        with self.server.proxy() as proxy:
            self.through(proxy)  # another destination: nothing is noted of it
            self.sync()
            self.assertLess(proxy.moved["up"], MEBIBYTE)
            sent = proxy.connections
            self.sync()
            self.assertEqual(proxy.connections, sent)
        self.assert_arrived(run)

    def test_an_upload_that_was_cut_off_is_taken_up(self):
        run = self.make_run(large=40 * MEBIBYTE)
        with self.server.proxy() as proxy:
            self.through(proxy)
            proxy.set("slow", 12 * MEBIBYTE)
            process = self.start_poster("sync", "--jobs", "2")
            wait_until(lambda: proxy.moved["up"] > 24 * MEBIBYTE, what="half of the file")
            process.send_signal(signal.SIGKILL)
            process.wait()
            proxy.set("pass")
            before = proxy.moved["up"]
            self.sync()
            self.assertLess(proxy.moved["up"] - before, 32 * MEBIBYTE)
        self.assert_arrived(run)

    def test_a_file_that_changes_is_sent_again(self):
        run = self.make_run("a", large=6 * MEBIBYTE)
        self.sync()
        for name in ("a", "large.bin"):
            path = run / "files" / name
            path.write_bytes(os.urandom(path.stat().st_size))
        self.sync("last")
        self.assert_arrived(run)


@needs_venv
class Refusals(S3Case):
    def refused(self, *parts, **environment):
        self.make_run("a")
        self.env |= environment
        done = self.sync(check=1)
        for part in parts:
            self.assertIn(part, done.stdout.decode() + done.stderr.decode())
        for secret in ("poster/secret", "wrong-secret", "posteraccess"):
            self.assertNotIn(secret, done.stdout.decode() + done.stderr.decode())
        self.assertEqual([path for path in self.objects.rglob("*") if path.is_file()], [])

    def test_wrong_secret(self):
        self.refused("SignatureDoesNotMatch", "see whether the access key", AWS_SECRET_ACCESS_KEY="wrong-secret-value")

    def test_unknown_access_key(self):
        self.refused("InvalidAccessKeyId", "see whether the access key", AWS_ACCESS_KEY_ID="nobody-here")

    def test_no_such_bucket(self):
        self.refused("NoSuchBucket", "make the bucket", POSTER_S3_BUCKET="no-such-bucket")

    def test_no_credentials(self):
        self.refused("no credentials for S3", "AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="none")

    def test_an_untrusted_certificate(self):
        self.refused("certificate", "ca_file", POSTER_S3_ENDPOINT=self.server.endpoint_tls)

    def test_another_region_is_found_out(self):
        run = self.make_run("a")
        self.env |= {"POSTER_S3_REGION": "eu-central-1"}
        self.sync()
        self.assert_arrived(run)

    def test_a_profile_of_the_aws_files(self):
        run = self.make_run("a")
        folder = pathlib.Path(self.env["HOME"]) / ".aws"
        folder.mkdir()
        (folder / "credentials").write_text(
            f"[lab]\naws_access_key_id = {self.env.pop('AWS_ACCESS_KEY_ID')}\n"
            f"aws_secret_access_key = {self.env.pop('AWS_SECRET_ACCESS_KEY')}\n"
        )
        (folder / "config").write_text(
            f"[profile lab]\nregion = us-east-1\nservices = here\n[services here]\ns3 =\n"
            f"  endpoint_url = {self.env.pop('AWS_ENDPOINT_URL')}\n"
        )
        self.env |= {"AWS_PROFILE": "lab"}
        self.sync()
        self.env |= {**self.server.env}
        self.assert_arrived(run)


@needs_venv
class Faults(S3Case):
    def test_the_server_is_down_and_comes_back(self):
        run = self.make_run("a", large=6 * MEBIBYTE)
        self.server.stop()
        try:
            self.sync_in_vain(said="connect")
        finally:
            self.server.start()
        self.sync()
        self.assert_arrived(run)

    def test_connections_are_refused_and_accepted_again(self):
        run = self.make_run("a", large=6 * MEBIBYTE)
        with self.server.proxy() as proxy:
            self.through(proxy)
            proxy.set("refuse")
            self.sync_in_vain(said="connect")
            proxy.set("pass")
            self.sync()
        self.assert_arrived(run)

    def test_the_connection_dies_in_the_middle(self):
        run = self.make_run(*"abcdefgh", large=22 * MEBIBYTE)
        with self.server.proxy() as proxy:
            self.through(proxy)
            proxy.set("cut", 3 * MEBIBYTE, times=6)
            for _ in range(5):
                if self.sync(check=None).returncode == 0:
                    break
            self.assertGreater(proxy.cuts, 3)
        self.assert_arrived(run)

    def test_answers_are_cut_off(self):
        run = self.make_run("a", "b", large=12 * MEBIBYTE)
        with self.server.proxy() as proxy:
            self.through(proxy)
            proxy.set("cut", 60, direction="down", times=8)
            for _ in range(8):
                if self.sync(check=None).returncode == 0:
                    break
            self.assertGreater(proxy.cuts, 3)
        self.assert_arrived(run)

    def test_the_server_stalls(self):
        run = self.make_run("a", large=12 * MEBIBYTE)
        with self.server.proxy() as proxy:
            self.through(proxy)
            proxy.set("stall", 2 * MEBIBYTE)
            self.sync_in_vain(said="no byte for")
            proxy.set("pass")
            self.sync()
        self.assert_arrived(run)

    def test_the_disk_of_the_server_is_full_and_then_is_not(self):
        run = self.make_run("a", large=22 * MEBIBYTE)
        self.objects.rmdir()
        with small_disk("16m") as disk:
            self.objects.symlink_to(disk)
            self.sync_in_vain(said="the storage is full")
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            self.sync()
            self.assert_arrived(run)

    def test_wrong_credentials_are_put_right(self):
        run = self.make_run("a")
        right, self.env["AWS_SECRET_ACCESS_KEY"] = self.env["AWS_SECRET_ACCESS_KEY"], "wrong"
        self.sync(check=1)
        self.env["AWS_SECRET_ACCESS_KEY"] = right
        self.sync("--retry-failed")
        self.assert_arrived(run)

    @staticmethod
    def save_more(run, number):
        """So that there is always something to send, and now and then something in parts."""
        size = 11 * MEBIBYTE if number % 10 == 5 else 200_000
        (run / "files" / f"late-{number}").write_bytes(os.urandom(size))

    def assert_noted_are_there(self, run):
        """By the server's own files, and, as soon as they are noted, by boto3."""
        there = self.objects / "runs" / run.name
        delivered.assert_copies_are_there(self, run, "s3", lambda path: (there / path).read_bytes())
        noted = delivered.copies_noted(run, "s3")
        new = {path: sha256 for path, sha256 in noted.items() if self.read_by_boto3.get(path) != sha256}
        keys = {f"runs/{run.name}/{path}": path for path in new}
        hashes = self.boto3(HASHES, bucket=self.bucket, keys=list(keys))
        self.assertEqual({keys[key]: sha256 for key, sha256 in hashes.items()}, new)
        self.read_by_boto3.update(new)

    def test_killed_at_fifty_moments(self):
        self.read_by_boto3 = {}
        run = self.make_run(*(f"f{i}" for i in range(30)), large=23 * MEBIBYTE)
        with self.server.proxy() as proxy:
            self.through(proxy)
            proxy.set("slow", 30 * MEBIBYTE)
            delivered.kill_at_random_moments(
                start=lambda: self.start_poster("sync", run.name),
                check=lambda: self.assert_noted_are_there(run),
                times=50,
                longest=0.5,
                before=lambda number: self.save_more(run, number),
            )
            proxy.set("pass")
            self.sync(run.name)
            self.assert_noted_are_there(run)
            self.assertGreater(len(self.read_by_boto3), 80)
        self.assert_arrived(run)

    def test_the_machine_is_offline_for_the_whole_run(self):
        with FaultProxy(self.server.port) as proxy:
            proxy.set("refuse")
            self.through(proxy)
            self.env |= {"POSTER_SYNC_MODE": "auto", "POSTER_SYNC_WAIT": "0s"}
            run = self.make_run("a", large=6 * MEBIBYTE)
            self.assertEqual(self.outcome(run)["status"], "finished")
            proxy.set("pass")
            self.sync()
        self.assert_arrived(run)


if __name__ == "__main__":
    main()
