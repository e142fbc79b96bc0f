"""Copies of runs in S3 where the server, the clock or the network are not as one would have them."""

import itertools
import os
import shutil
import subprocess
import threading
import time

from harness import CHILDREN, main, needs_program, needs_venv, wait_until
from s3_case import MEBIBYTE, ODD_NAMES, S3Case
from services import Answer, S3Front, error


class FrontCase(S3Case):
    """All that poster asks goes by way of a front."""

    def setUp(self):
        super().setUp()
        self.front = self.enterContext(S3Front(self.server))
        self.through(self.front)

    def objects_read(self):
        objects = [request for request in self.front.of("GET") if "/runs/" in request.path and not request.query]
        return [request for request in objects if not request.path.endswith("/manifest.json")]

    def parts_there(self):
        """The numbers of the parts that the server has taken."""
        return [r.query["partNumber"] for r in self.front.of("PUT") if is_large(r) and r.answered == 200]

    def cut_off(self, parts):
        """Kills a sync when the server has taken so many parts of a file; hardly any others will arrive."""
        before, killed = self.front.before, threading.Event()

        def hold(request):
            if is_large(request) and len(self.parts_there()) >= parts:
                killed.wait(60)
                return error(503, "SlowDown", "Too late.")
            return before(request)

        self.front.before = hold
        process = self.start_poster("sync", "--jobs", "2")
        wait_until(lambda: len(self.parts_there()) >= parts)
        process.kill()
        process.wait()
        killed.set()
        self.front.before = before


@needs_venv
@needs_program("cc")
class WrongClock(S3Case):
    """This machine's clock is wrong by more than the quarter of an hour that S3 forgives."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.server.state / "clock"
        folder.mkdir()
        cls.shim = folder / "wrong_clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", cls.shim, CHILDREN / "wrong_clock.c"], check=True)

    def wrong_clock(self, by):
        # A sanitizer's library minds that it does not come first.
        options = ":".join(filter(None, [self.env.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        return {"LD_PRELOAD": str(self.shim), "ASAN_OPTIONS": options, "WRONG_CLOCK": str(by)}

    def assert_copies_go_and_come(self, wrong_by):
        run = self.make_run("a", large=11 * MEBIBYTE)
        large = run / "files" / "large.bin"
        os.utime(large, (0, 0))  # gc deletes nothing that is of the future
        self.env |= self.wrong_clock(wrong_by)
        self.sync()
        self.assert_arrived(run)
        content = large.read_bytes()
        large.unlink()
        self.poster("fetch", run.name, check=0)
        self.assertEqual(large.read_bytes(), content)
        self.poster("gc", "--delivered", "--larger", "5M", "--yes", check=0)  # whose first request is a HEAD
        self.assertFalse(large.exists())

    def test_the_answer_that_has_no_words_is_a_403(self):
        """Or the tests below would not see that the server refuses the time."""
        self.make_run("a")
        with S3Front(self.server) as front:
            self.through(front)
            self.sync()
            self.env |= self.wrong_clock(3600)
            self.poster("gc", "--delivered", "--yes", check=0)
        self.assertIn(("HEAD", 403), [(request.method, request.answered) for request in front.requests])

    def test_by_three_hours_ahead(self):
        self.assert_copies_go_and_come(3 * 3600)

    def test_by_three_hours_behind(self):
        self.assert_copies_go_and_come(-3 * 3600)

    def test_by_years(self):
        self.assert_copies_go_and_come(-20 * 365 * 86400)


def without_checksums(message, *_):
    """As if neither end had ever heard of them."""
    message.drop("x-amz-checksum-")


def flipped(body):
    return body[:1000] + bytes([body[1000] ^ 1]) + body[1001:]


def is_large(request):
    return request.method == "PUT" and len(request.body) > MEBIBYTE


@needs_venv
class WithoutChecksums(FrontCase):
    """Servers that are older than x-amz-checksum-sha256: uploads are verified all the same."""

    def ignore_checksums(self):
        self.front.before = without_checksums
        self.front.after = lambda request, answer: answer.drop("x-amz-checksum-")

    def test_where_they_are_ignored_the_md5_tells(self):
        self.ignore_checksums()
        run = self.make_run("a", large=12 * MEBIBYTE)
        self.sync()
        self.assert_arrived(run)
        self.assertEqual(self.objects_read(), [])
        self.poster("gc", "--delivered", "--yes", check=0)
        self.poster("fetch", run.name, check=0)
        self.assert_arrived(run)

    def test_where_the_md5_is_not_told_either_the_object_is_read(self):
        """ETags of the server's own making."""

        def before(request):
            without_checksums(request)
            request.body = request.body.replace(b"made-up-", b"") if request.method == "POST" else request.body

        def after(request, answer):
            answer.drop("x-amz-checksum-")
            if "etag" in answer.headers:
                answer.headers["etag"] = answer.headers["etag"].replace('"', '"made-up-', 1)

        self.front.before, self.front.after = before, after
        run = self.make_run("a", large=12 * MEBIBYTE)
        self.sync()
        self.assert_arrived(run)
        read = {request.path.rpartition("/")[2] for request in self.objects_read()}
        self.assertLessEqual({"a", "large.bin", "run.json"}, read)

    def test_where_they_are_refused_it_goes_without(self):
        answers = [
            error(501, "NotImplemented", "Header 'x-amz-checksum-algorithm' with value 'SHA256' not implemented"),
            error(400, "InvalidArgument", "Unsupported header 'x-amz-checksum-sha256' received for this API call."),
            Answer(400),
        ]
        for refusal in answers:
            with self.subTest(refusal.status, body=refusal.body):

                def before(request):
                    sent = [
                        name for name in request.headers if name.startswith("x-amz-checksum-") and name != "x-amz-checksum-mode"
                    ]
                    return Answer(refusal.status, refusal.headers, refusal.body) if sent else None

                self.front.before = before
                self.save("again.txt", os.urandom(9), "again.bin", os.urandom(12 * MEBIBYTE))
                self.sync(self.run_dir().name)
                self.assert_arrived()

    def save(self, *names_and_contents):
        if not self.run_dirs():
            self.make_run("a")
        for name, content in zip(names_and_contents[::2], names_and_contents[1::2]):
            (self.run_dir() / "files" / name).write_bytes(content)

    def test_bytes_that_are_damaged_on_the_way_are_not_called_delivered(self):
        """By something in between that signs what it changes; the server itself would refuse it."""
        for large in (4 * MEBIBYTE, 12 * MEBIBYTE):  # whole, and in parts
            with self.subTest(large=large):
                self.ignore_checksums()
                self.save("large.bin", os.urandom(large))

                def before(request):
                    without_checksums(request)
                    if is_large(request):
                        request.body = flipped(request.body)

                self.front.before = before
                self.sync_in_vain(self.run_dir().name, said="other bytes")
                self.ignore_checksums()
                self.sync(self.run_dir().name)
                self.assert_arrived()

    def test_a_kill_before_the_bytes_were_verified_is_not_taken_for_their_arrival(self):
        self.ignore_checksums()
        run = self.make_run(large=12 * MEBIBYTE)
        self.env |= {"POSTER_S3_PART_SIZE": "32"}  # in one request
        process = self.start_poster("sync")

        def before(request):
            without_checksums(request)
            if is_large(request):
                request.body = flipped(request.body)

        def after(request, answer):
            answer.drop("x-amz-checksum-")
            if is_large(request):
                process.kill()
                process.wait()

        self.front.before, self.front.after = before, after
        process.wait(60)
        self.ignore_checksums()
        self.sync()
        self.assert_arrived(run)

    def test_an_upload_that_was_cut_off_is_taken_up(self):
        self.ignore_checksums()
        run = self.make_run(large=40 * MEBIBYTE)
        self.cut_off(parts=4)
        before = self.parts_there()
        self.sync()
        self.assertEqual([self.parts_there().count(part) for part in before], [1] * len(before))
        self.assert_arrived(run)


@needs_venv
class Addresses(S3Case):
    """By a proxy, for which s3.test and all names below lead to the server."""

    def setUp(self):
        super().setUp()
        self.front = self.enterContext(S3Front(self.server))
        self.env |= {"http_proxy": self.front.endpoint, "NO_PROXY": "", "no_proxy": "", "POSTER_S3_ENDPOINT": "http://s3.test"}

    def hosts(self):
        return {request.headers["host"] for request in self.front.requests}

    def test_a_bucket_in_the_host_name(self):
        self.env |= {"POSTER_S3_ADDRESSING": "virtual", "POSTER_S3_PREFIX": "my team"}
        run = self.make_run(*ODD_NAMES, large=11 * MEBIBYTE)
        self.sync()
        for path in (run / "files").iterdir():
            self.assertEqual((self.objects / "my team" / "runs" / run.name / "files" / path.name).read_bytes(), path.read_bytes())
        self.assertEqual(self.hosts(), {f"{self.bucket}.s3.test"})
        shutil.rmtree(self.store)
        self.poster("fetch", "--all", check=0)
        self.assertTrue(run.exists())

    def test_a_bucket_with_dots_in_the_path_and_in_the_host_name(self):
        self.bucket = self.bucket.replace("-", ".", 1)
        self.server.make_bucket(self.bucket)
        self.env |= {"POSTER_S3_BUCKET": self.bucket}
        for addressing in ("auto", "virtual"):
            self.env |= {
                "POSTER_S3_ADDRESSING": addressing,
                "POSTER_S3_ENDPOINT": f"http://s3.test{'' if addressing == 'auto' else ':80'}",
            }
            self.make_run("a")
            self.sync()
        self.assertEqual(self.hosts(), {"s3.test", f"{self.bucket}.s3.test"})
        self.assertEqual(len(self.seen_by_boto3()[1]["objects"]), 2 * len(list(self.files_of(self.run_dirs()[0]))) + 2)

    def test_encrypted_through_a_proxy(self):
        endpoint = self.server.endpoint_tls
        self.env |= {
            "https_proxy": self.front.endpoint,
            "POSTER_S3_ENDPOINT": endpoint,
            "POSTER_S3_CA_FILE": str(self.server.ca_file),
        }
        run = self.make_run("a")
        self.sync()
        self.assert_arrived(run)
        self.assertEqual({f"https://{name}" for name in self.front.tunnels}, {endpoint})

    def test_no_proxy_where_the_environment_says_so(self):
        self.env |= {"no_proxy": "example.org,127.0.0.1", "POSTER_S3_ENDPOINT": self.server.endpoint}
        run = self.make_run("a")
        self.sync()
        self.assert_arrived(run)
        self.assertEqual(self.front.requests, [])

    def test_another_authority_than_the_one_that_is_trusted(self):
        other = self.tmp / "other.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"]
            + ["-subj", "/CN=poster test CA", "-keyout", "/dev/null", "-out", other],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        self.env |= {"no_proxy": "*", "POSTER_S3_ENDPOINT": self.server.endpoint_tls, "AWS_CA_BUNDLE": str(other)}
        run = self.make_run("a")
        said = self.sync(check=1).stdout.decode()
        self.assertIn("certificate", said)
        self.assertIn("ca_file", said)
        self.env |= {"AWS_CA_BUNDLE": str(self.server.ca_file)}
        self.sync("--retry-failed")
        self.assert_arrived(run)


@needs_venv
class Regions(S3Case):
    """A bucket that lies elsewhere, in the words that Amazon has for it."""

    def setUp(self):
        super().setUp()
        self.front = self.enterContext(S3Front(self.server))
        self.through(self.front)
        self.env |= {"POSTER_S3_REGION": "us-west-2"}

    def is_in(self, region, refusal):
        def before(request):
            if request.scope()[2] != region:
                return refusal
            request.headers["authorization"] = request.headers["authorization"].replace(region, "us-east-1")

        self.front.before = before

    def test_it_goes_on_with_the_region_that_the_server_names(self):
        refusals = {
            "in a header": Answer(301, {"x-amz-bucket-region": "eu-central-1"}),
            "with words": error(301, "PermanentRedirect", "must be addressed using the specified endpoint", Endpoint="x"),
            "in the words": error(400, "AuthorizationHeaderMalformed", "expecting 'eu-central-1'", Region="eu-central-1"),
        }
        refusals["with words"].headers["x-amz-bucket-region"] = "eu-central-1"
        self.make_run("a")
        for number, (name, refusal) in enumerate(refusals.items()):
            with self.subTest(name):
                self.is_in("eu-central-1", refusal)
                large = self.run_dir() / "files" / f"{number}.bin"  # its first request is a HEAD
                large.write_bytes(os.urandom(6 * MEBIBYTE))
                self.sync(self.run_dir().name)
                self.assert_arrived()

    def test_one_that_is_reached_elsewhere_is_for_the_user_to_mend(self):
        refusal = error(301, "PermanentRedirect", "must be addressed using the specified endpoint", Endpoint="there")
        refusal.headers["x-amz-bucket-region"] = "eu-central-1"
        self.front.before = lambda request: refusal
        self.make_run("a")
        said = self.sync(check=1).stdout.decode()
        self.assertIn("the bucket is in the region eu-central-1: set s3.region and s3.endpoint to it", said)
        self.assertLessEqual(len(self.front.requests), 16)


@needs_venv
class Rights(S3Case):
    def test_the_right_to_write_alone_is_enough_to_deliver(self):
        with S3Front(self.server) as front:
            self.through(front)
            denied = error(403, "AccessDenied", "Access Denied.")
            front.before = lambda request: denied if request.method in ("GET", "HEAD", "DELETE") else None
            run = self.make_run("a", large=11 * MEBIBYTE)
            self.sync()
            self.assert_arrived(run)
            done = self.poster("gc", "--delivered", "--yes", check=1)  # what cannot be verified stays
        self.assertIn(b"AccessDenied", done.stderr)
        self.assertTrue((run / "files" / "large.bin").exists())

    def test_a_bucket_that_takes_signed_bodies_alone_is_asked_once(self):
        def before(request):
            unsigned = request.headers.get("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
            return error(403, "AccessDenied", "its policy wants the body signed") if unsigned else None

        with S3Front(self.server) as front:
            self.through(front)
            front.before = before
            run = self.make_run("small", large=24 * MEBIBYTE)
            self.sync("--jobs", "1")
            self.assert_arrived(run)
            self.assertEqual(sum(request.answered == 403 for request in front.requests), 1)


@needs_venv
class Pressure(FrontCase):
    def test_a_server_that_asks_for_time_gets_it_from_all_connections(self):
        slow_down = error(503, "SlowDown", "Please reduce your request rate.")
        slow_down.headers["retry-after"] = "3"
        refused = None  # when
        numbers = itertools.count(1)  # several requests come at once

        def before(request):
            nonlocal refused
            if next(numbers) == 3:
                refused = request.at
                return slow_down
            if refused and request.at < refused + 3:
                time.sleep(0.5)  # so that few are on their way while the answer is

        self.front.before = before
        run = self.make_run(*(str(i) for i in range(30)))
        self.sync("--jobs", "2")
        self.assert_arrived(run)
        self.assertLessEqual(len([request for request in self.front.requests if refused < request.at < refused + 3]), 3)

    def test_one_that_asks_for_much_time_is_tried_by_a_later_sync(self):
        slow_down = error(503, "SlowDown", "Please reduce your request rate.")
        slow_down.headers["retry-after"] = "600"
        self.front.before = lambda request: slow_down
        run = self.make_run("a")
        self.assertIn(b"SlowDown", self.sync(check=1).stdout)
        self.assertLessEqual(len(self.front.requests), 16)
        self.front.before = lambda request: None
        self.sync()
        self.assert_arrived(run)

    def test_the_storage_class_is_sent_and_one_that_is_unknown_is_for_the_user_to_mend(self):
        self.env |= {"POSTER_S3_STORAGE_CLASS": "ODD"}
        refusal = error(400, "InvalidStorageClass", "The storage class you specified is not valid")

        def before(request):
            named = request.method == "PUT" and "partNumber" not in request.query or "uploads" in request.query
            named = named and request.method != "GET"
            self.assertEqual(request.headers.get("x-amz-storage-class"), storage_class if named else None)
            return refusal if named and storage_class == "ODD" else None

        self.front.before, storage_class = before, "ODD"
        run = self.make_run("a", large=11 * MEBIBYTE)
        said = self.sync(check=1).stdout.decode()
        self.assertIn("InvalidStorageClass", said)
        self.assertIn("s3.storage_class", said)
        self.env |= {"POSTER_S3_STORAGE_CLASS": "STANDARD_IA"}
        storage_class = "STANDARD_IA"
        self.sync("--retry-failed")
        self.assert_arrived(run)


@needs_venv
class LongLists(S3Case):
    """More than the thousand that one answer holds."""

    def test_a_run_is_found_behind_a_thousand_others(self):
        run = self.make_run("a")
        self.sync()
        for number in range(1100):
            (self.objects / "runs" / f"{number:08}-000000-aaaa").mkdir()
            (self.objects / "runs" / f"{number:08}-000000-aaaa" / "x").touch()
        shutil.rmtree(self.store)
        self.poster("fetch", run.name[-4:], check=0)
        self.assertEqual((run / "files" / "a").read_bytes(), b"aaa")

    def test_all_runs_come_over_pages(self):
        with S3Front(self.server) as front:
            self.through(front)
            for _ in range(7):
                self.make_run("a")
            self.sync()
            front.before = lambda request: request.query.update({"max-keys": "2"} if "list-type" in request.query else {})
            runs = {run.name for run in self.run_dirs()}
            shutil.rmtree(self.store)
            self.poster("fetch", "--all", check=0)
            self.assertEqual({run.name for run in self.run_dirs()}, runs)
            self.assertEqual(len(front.of("GET", **{"list-type": "2"})), 4)


@needs_venv
class CutOff(FrontCase):
    def test_more_parts_than_one_answer_lists_are_all_used(self):
        run = self.make_run(large=40 * MEBIBYTE)
        self.cut_off(parts=5)
        before = self.parts_there()
        self.front.before = lambda request: request.query.update({"max-parts": "2"} if self.lists_parts(request) else {})
        self.sync()
        self.assertGreaterEqual(len([request for request in self.front.requests if self.lists_parts(request)]), 3)
        self.assertEqual([self.parts_there().count(part) for part in before], [1] * len(before))
        self.assert_arrived(run)

    @staticmethod
    def lists_parts(request):
        return request.method == "GET" and "uploadId" in request.query


@needs_venv
class UnknownHash(FrontCase):
    """A large file whose hash is not known yet when its upload begins: the object itself tells nothing of it."""

    def setUp(self):
        super().setUp()
        self.front.before = lambda request: request.drop("x-amz-meta-")

    def test_the_checksum_of_its_parts_is_enough_to_let_go_of_the_one_here(self):
        run = self.make_run(large=12 * MEBIBYTE)
        self.sync()
        metadata = [entry["metadata"] for key, entry in self.assert_arrived(run).items() if key.endswith("large.bin")]
        self.assertEqual(metadata, [{}])
        self.poster("gc", "--delivered", "--yes", check=0)
        self.assertFalse((run / "files" / "large.bin").exists())
        self.assertEqual([request for request in self.objects_read() if request.path.endswith("large.bin")], [])
        self.poster("fetch", run.name, check=0)
        self.assert_arrived(run)

    def test_parts_of_another_size_are_read_to_tell(self):
        run = self.make_run(large=12 * MEBIBYTE)
        self.sync()
        self.env |= {"POSTER_S3_PART_SIZE": "6"}
        self.poster("gc", "--delivered", "--yes", check=0)
        self.assertFalse((run / "files" / "large.bin").exists())
        self.assertEqual(len([request for request in self.objects_read() if request.path.endswith("large.bin")]), 1)

    def test_it_is_not_sent_again_by_one_that_knows_of_no_delivery(self):
        def after(request, answer):
            if request.method == "POST" and "uploadId" in request.query:
                process.kill()
                process.wait()

        run = self.make_run(large=12 * MEBIBYTE)
        self.front.after = after
        process = self.start_poster("sync")
        process.wait()
        self.front.after = lambda request, answer: None
        self.sync()
        self.assertEqual(sorted(self.parts_there()), ["1", "2", "3"])
        self.assert_arrived(run)

    def test_other_bytes_of_the_same_length_are_replaced(self):
        run = self.make_run(large=12 * MEBIBYTE)
        put = "client.put_object(Bucket=bucket, Key=key, Body=bytes(12 << 20))"
        self.boto3(put, bucket=self.bucket, key=f"runs/{run.name}/files/large.bin")
        self.sync()
        self.assert_arrived(run)


if __name__ == "__main__":
    main()
