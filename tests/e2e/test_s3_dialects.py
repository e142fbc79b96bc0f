"""Copies of runs in S3 where the server, the clock or the network are not as one would have them."""

import os
import subprocess

from harness import CHILDREN, main, needs_program, needs_venv, wait_until
from s3_case import MEBIBYTE, S3Case
from services import Answer, S3Front, error


@needs_venv
@needs_program("cc")
class WrongClock(S3Case):
    """This machine's clock is wrong by more than the quarter of an hour that S3 forgives."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.server.state / "clock"
        folder.mkdir()
        cls.library = folder / "wrong_clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", cls.library, CHILDREN / "wrong_clock.c"], check=True)

    def wrong_clock(self, by):
        # A sanitizer's library minds that it does not come first.
        return {"LD_PRELOAD": str(self.library), "ASAN_OPTIONS": "verify_asan_link_order=0", "WRONG_CLOCK": str(by)}

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
class WithoutChecksums(S3Case):
    """Servers that are older than x-amz-checksum-sha256: uploads are verified all the same."""

    def setUp(self):
        super().setUp()
        self.front = self.enterContext(S3Front(self.server))
        self.through(self.front)

    def ignore_checksums(self):
        self.front.before = without_checksums
        self.front.after = lambda request, answer: answer.drop("x-amz-checksum-")

    def objects_read(self):
        return [request for request in self.front.of("GET") if "/runs/" in request.path and not request.query]

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
                    sent = [name for name in request.headers if name.startswith("x-amz-checksum-") and name != "x-amz-checksum-mode"]
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
        process = self.start_poster("sync", "--jobs", "2")
        wait_until(lambda: len([r for r in self.front.of("PUT") if is_large(r) and r.answered == 200]) >= 4)
        process.kill()
        process.wait()
        before = len([request for request in self.front.of("PUT") if is_large(request)])
        self.sync()
        sent = [request for request in self.front.of("PUT") if is_large(request)][before:]
        self.assertLessEqual(len(sent), 4)
        self.assert_arrived(run)


if __name__ == "__main__":
    main()
