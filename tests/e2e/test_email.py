"""The email callback, against Exim: what arrives, once, whatever happens on the way. Read back with Python's `email`."""

import email
import email.policy
import os
import pathlib
import random
import re
import subprocess
import time

import delivered
from harness import POSTER, PosterTest, main, poster_only, read_bytes, wait_until
from services import FaultProxy, smtp
from test_telegram import png

PASSWORD = "s3cret pass/+="


class EmailTest(PosterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(smtp())

    def setUp(self):
        super().setUp()
        self.before = set(self.server.mails())
        self.env["POSTER_SYNC_MODE"] = "manual"
        self.env["PATH"] = f"{os.path.dirname(POSTER)}:{self.env['PATH']}"
        self.set(
            server=f"smtp://localhost:{self.server.port}",
            ca_file=str(self.server.ca_file),
            user="poster",
            password=PASSWORD,
            to="Jörg Müller <joerg@example.org>,anna@example.org",
            **{"from": "Poster <poster@example.org>"},
        )

    def set(self, **settings):
        self.env.update({f"POSTER_EMAIL_{key.upper()}": value for key, value in settings.items()})

    def through(self, proxy):
        self.set(server=f"smtp://localhost:{proxy.port}")

    def mails(self):
        """Those that arrived since the beginning of the test, by their order; of two recipients' copies one."""
        spool = self.server.state / "spool" / "input"  # what Exim has taken and not yet put into the folder
        wait_until(lambda: not [name for _, _, names in os.walk(spool) for name in names], what="Exim's own delivery")
        by_id = {}
        for file in self.server.mails():
            if file not in self.before:
                mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                by_id.setdefault((mail["Message-ID"], mail["Envelope-to"]), []).append(mail)
        for mails in by_id.values():
            self.assertEqual(len(mails), 1, "a mail came twice")
        return list({key[0]: mails[0] for key, mails in by_id.items()}.values())

    def subjects(self):
        return [mail["Subject"] for mail in self.mails()]

    def sync(self, *options, check=0):
        done = self.poster("sync", *options, check=check)
        return (done.stdout + done.stderr).decode()

    def waiting(self):
        return self.poster("sync", "--dry-run", "--json", check=0).stdout.decode().splitlines()


@poster_only
class Content(EmailTest):
    def test_a_run_that_failed_is_told_with_its_last_words(self):
        script = "echo out; echo 'Fehler: größer = 1 <&> 😀' >&2; echo . >&2; echo ..two >&2; echo 'end ' >&2; exit 3"
        self.launch("sh", "-c", script, options=["--name", "Grüße 😀 an alle, die diesen sehr langen Namen noch lesen wollen"])
        self.sync()
        (mail,) = self.mails()
        self.assertRegex(mail["Subject"], r"^\[poster\] Grüße 😀 an alle, die .* wollen: failed with exit code 3 after")
        self.assertEqual(mail["From"], "Poster <poster@example.org>")
        self.assertEqual(mail["To"], "Jörg Müller <joerg@example.org>, anna@example.org")
        self.assertEqual(mail["Auto-Submitted"], "auto-generated")
        self.assertLess(abs(mail["Date"].datetime.timestamp() - time.time()), 120)
        self.assertEqual(mail["In-Reply-To"], mail["References"])
        self.assertEqual(mail.defects, [])
        text = mail.get_body(("plain",)).get_content()
        self.assertIn("    Fehler: größer = 1 <&> 😀\n    .\n    ..two\n    end\n", text.replace("end \n", "end\n"))
        self.assertIn(str(self.run_dir()), text)
        self.assertIn("Fehler: größer = 1 &lt;&amp;&gt; 😀", mail.get_body(("html",)).get_content())
        self.assertEqual(self.waiting(), [])
        self.sync()
        self.assertEqual(len(self.mails()), 1)

    def test_the_mails_of_a_run_are_a_thread(self):
        self.set(on="start,end")
        self.launch("true")
        self.sync()
        one, other = self.mails()
        self.assertNotEqual(one["Message-ID"], other["Message-ID"])
        self.assertEqual(one["References"], other["References"])

    def test_an_image_is_attached_with_its_name(self):
        image = png(30, 20)
        name = "Übersicht \"1\" – Ergebnis.png"
        (self.cwd / name).write_bytes(image)
        script = """mkdir -p "$POSTER_RUN_DIR/images"; cp *.png "$POSTER_RUN_DIR/images/"
            printf '{"kind":"image","name":"s","path":"images/Übersicht \\\\"1\\\\" – Ergebnis.png","caption":"c","notify":true}\\n' \
                >> "$POSTER_EVENTS_DIR/m.jsonl"
        """
        self.set(on="notify")
        self.launch("sh", "-c", script)
        self.sync()
        (mail,) = self.mails()
        (attachment,) = mail.iter_attachments()
        self.assertEqual(attachment.get_filename(), name)
        self.assertEqual(attachment.get_content_type(), "image/png")
        self.assertEqual(attachment.get_content(), image)

    def test_an_image_too_large_for_the_server_is_named_instead(self):
        (self.cwd / "big.png").write_bytes(png(10, 10) + random.Random(1).randbytes(6 << 20))
        script = """mkdir -p "$POSTER_RUN_DIR/images"; cp big.png "$POSTER_RUN_DIR/images/"
            printf '{"kind":"image","name":"s","path":"images/big.png","notify":true}\\n' >> "$POSTER_EVENTS_DIR/m.jsonl"
        """
        self.launch("sh", "-c", script)
        self.set(on="notify")
        self.sync()
        mail = [it for it in self.mails() if "finished" not in it["Subject"]][0]
        self.assertEqual(list(mail.iter_attachments()), [])
        self.assertIn("too large for the mail server", mail.get_content())

    def test_tls_from_the_start(self):
        self.set(server=f"smtps://localhost:{self.server.port + 1}")
        done = self.poster("notify", "test", store=False, check=0)
        self.assertRegex(done.stdout.decode(), r"^email: delivered \(250 OK id=.*\)\n$")
        self.assertEqual(len(self.mails()), 1)

    def test_it_arrives_by_itself(self):
        self.env["POSTER_SYNC_MODE"] = "auto"
        self.launch("sh", "-c", "exit 1")
        wait_until(self.mails, what="the mail")
        wait_until(lambda: self.waiting() == [], what="its receipt")

    def test_a_name_cannot_smuggle_in_a_header(self):
        self.launch("false", options=["--name", "x\r\nBcc: victim@example.org\r\n\r\nbody"])
        self.sync()
        (mail,) = self.mails()
        self.assertIsNone(mail["Bcc"])
        self.assertIn("x  Bcc: victim@example.org", mail["Subject"])

    def test_addresses_that_are_none_run_nothing(self):
        for key, value in (("to", "anna@example.org>\r\nRSET"), ("to", "anna"), ("from", "a@b\nX: y")):
            with self.subTest(value=value):
                before = dict(self.env)
                self.set(**{key: value})
                done = self.launch("touch", "ran")
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(f"POSTER_EMAIL_{key.upper()}".encode(), done.stderr)
                self.assertFalse((self.cwd / "ran").exists())
                self.env = before


@poster_only
class Faults(EmailTest):
    """Nothing is lost and nothing comes twice; nothing is called delivered that is not."""

    def setUp(self):
        super().setUp()
        self.set(on="notify", to="anna@example.org")

    def a_run(self):
        self.launch("sh", "-c", "poster log notify one")

    def assert_waits(self):
        self.assertEqual(len(self.waiting()), 1)
        self.assertEqual(self.mails(), [])

    def assert_arrives_once(self):
        self.sync()
        self.sync()
        self.assertEqual(len(self.mails()), 1)
        self.assertEqual(self.waiting(), [])

    def test_the_server_is_down(self):
        self.server.stop()
        self.addCleanup(self.server.start)
        self.a_run()
        self.sync(check=1)
        self.assert_waits()
        self.server.start()
        self.assert_arrives_once()

    def test_the_network_refuses_or_breaks(self):
        for mode, amount in (("refuse", 0), ("cut", 0), ("cut", 500), ("cut", 1500)):
            with self.subTest(mode=mode, amount=amount), FaultProxy(self.server.port) as proxy:
                self.fresh_store()
                self.before = set(self.server.mails())
                self.through(proxy)
                self.a_run()
                proxy.set(mode, amount)
                self.sync(check=1)
                self.assert_waits()
                proxy.set("pass")
                self.assert_arrives_once()

    def test_the_network_stands_still(self):
        with FaultProxy(self.server.port) as proxy:
            self.through(proxy)
            self.a_run()
            proxy.set("stall", 1500)
            sync = self.start_poster("sync")
            wait_until(lambda: proxy.moved["up"] >= 1500, what="the beginning of the mail")
            proxy.reset_all()
            proxy.set("pass")
            sync.wait()
            self.assert_arrives_once()

    def test_a_wrong_password_waits_for_the_user(self):
        self.set(password="wrong-Pass9")
        self.a_run()
        words = self.sync(check=1)
        self.assertIn("535", words)
        self.assertIn("email.password", words)
        self.assertNotIn("wrong-Pass9", words)
        self.assert_waits()
        self.set(password=PASSWORD)
        self.sync(check=1)  # not by itself
        self.assert_waits()
        self.sync("--retry-failed")
        self.assert_arrives_once()

    def test_a_certificate_of_nobody_waits_for_the_user(self):
        del self.env["POSTER_EMAIL_CA_FILE"]
        self.a_run()
        self.assertIn("ca_file", self.sync(check=1))
        self.assert_waits()

    def test_what_the_server_refuses_for_good_waits_for_the_user(self):
        for to, code in (("reject@example.org", "550"), ("overquota@example.org", "552")):
            with self.subTest(code=code):
                self.fresh_store()
                self.set(to=to)
                self.a_run()
                self.assertIn(code, self.sync(check=1))
                self.assert_waits()
                self.sync(check=1)
                self.assert_waits()

    def test_what_the_server_refuses_for_the_moment_is_tried_again(self):
        self.set(to="full@example.org")
        space = self.server.state / "space"
        self.addCleanup(lambda: space.unlink(missing_ok=True))
        self.a_run()
        self.assertIn("452", self.sync(check=1))
        self.assert_waits()
        space.touch()
        self.assert_arrives_once()

    def test_a_machine_that_is_offline_for_the_whole_run_loses_nothing(self):
        self.env["POSTER_SYNC_MODE"] = "auto"
        self.set(server="smtp://localhost:9", on="start,end,notify")
        done = self.launch("sh", "-c", "poster log notify one; echo out; exit 4")
        self.assertEqual((done.returncode, done.stdout), (4, b"out\n"))
        wait_until(lambda: len(self.waiting()) == 3, what="the entries")
        self.env["POSTER_SYNC_MODE"] = "manual"
        self.set(server=f"smtp://localhost:{self.server.port}")
        wait_until(lambda: self.poster("sync").returncode == 0, what="the delivery")
        self.assertEqual(len(self.mails()), 3)

    def assert_noted_are_there(self):
        word_of = lambda entry: re.search(r"text-\d+-\d+-", delivered.payload_of(entry)).group()
        arrived = lambda: [mail.get_body(("plain",)).get_content() for mail in self.mails()]
        return delivered.assert_messages_are_there(self, self.run_dirs(), "email", arrived, word_of)

    def test_sync_killed_at_any_moment_loses_nothing_and_repeats_nothing(self):
        random.seed(os.environ.get("POSTER_SEED", "7"))
        wanted = []
        kills = int(os.environ.get("POSTER_KILLS", "50"))
        for round in range(5):
            texts = [f"text-{round}-{i}-" for i in range(10)]
            wanted += texts
            self.launch("sh", "-c", "for t in " + " ".join(texts) + "; do poster log notify $t; done")
            delivered.kill_at_random_moments(lambda: self.start_poster("sync"), self.assert_noted_are_there, kills // 5, 0.3)
        wait_until(lambda: self.poster("sync").returncode == 0, what="the delivery of all")
        self.assertEqual(self.assert_noted_are_there(), len(wanted))
        got = [mail.get_body(("plain",)).get_content().split("\n")[2] for mail in self.mails()]
        self.assertEqual(sorted(got), sorted(wanted))

    def test_the_password_is_nowhere_but_on_its_way(self):
        with FaultProxy(self.server.port) as proxy:
            self.through(proxy)
            self.a_run()
            proxy.set("stall", 1500)
            sync = self.start_poster("sync", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
            wait_until(lambda: proxy.moved["up"] >= 1500, what="the beginning of the mail")
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                self.assertNotIn(PASSWORD.encode(), read_bytes(process / "cmdline"), process)
            proxy.set("pass")
            out, err = sync.communicate()
            config = self.poster("config", check=0).stdout
            for word in (out, err, config):
                self.assertNotIn(PASSWORD.encode(), word)
            for path in self.store.rglob("*"):
                if path.is_file():
                    self.assertNotIn(PASSWORD.encode(), path.read_bytes(), path)


if __name__ == "__main__":
    main()
