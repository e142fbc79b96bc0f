"""Copies of runs in S3 where the server, the clock or the network are not as one would have them."""

import os
import subprocess

from harness import CHILDREN, main, needs_program, needs_venv
from s3_case import MEBIBYTE, S3Case
from services import S3Front


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


if __name__ == "__main__":
    main()
