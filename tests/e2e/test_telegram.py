"""The telegram callback, against a strict stand-in for the Bot API: what arrives, once, whatever happens on the way."""

import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import time
import zlib

import delivered
from harness import POSTER, VENV_PYTHON, PosterTest, main, needs_venv, poster_only, read_bytes, wait_until
from services import FaultProxy, telegram

TOKEN = "123456:TESTTOKEN"
REPEAT = "(perhaps a repeat)"


def png(width, height, level=128):
    rows = b"".join(b"\0" + bytes([level]) * width for _ in range(height))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class TelegramTest(PosterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(telegram())

    def setUp(self):
        super().setUp()
        self.before = len(self.all_messages())
        self.use(self.server.env)
        self.env["POSTER_SYNC_MODE"] = "manual"
        self.env["PATH"] = f"{os.path.dirname(POSTER)}:{self.env['PATH']}"

    def use(self, variables):
        self.env.update({name: value for name, value in variables.items() if name.startswith("POSTER_TELEGRAM")})

    def set(self, **settings):
        self.env.update({f"POSTER_TELEGRAM_{key.upper()}": value for key, value in settings.items()})

    def through(self, proxy):
        self.set(api=f"http://127.0.0.1:{proxy.port}")

    @classmethod
    def all_messages(cls):
        return [json.loads(line) for line in read_bytes(cls.server.messages).splitlines()]

    def messages(self):
        return self.all_messages()[self.before :]

    def texts(self):
        return [message.get("text", message.get("caption")) for message in self.messages()]

    def sync(self, *options, check=0):
        done = self.poster("sync", *options, check=check)
        return (done.stdout + done.stderr).decode()

    def waiting(self):
        """What the outbox says is not delivered."""
        out = self.poster("sync", "--dry-run", "--json", check=0).stdout.decode()
        return [json.loads(line) for line in out.splitlines()]


@poster_only
class Content(TelegramTest):
    def test_a_run_that_failed_is_told_with_its_last_words(self):
        script = "for i in $(seq 30); do echo out $i; echo \"err $i <&>\" >&2; done; exit 3"
        self.launch("sh", "-c", script, options=["--name", "base"])
        self.sync()
        (text,) = self.texts()
        self.assertIn("❌ base: failed with exit code 3 after", text.splitlines()[0])
        self.assertIn("\n".join(f"err {i} <&>" for i in range(16, 31)), text)
        self.assertNotIn("out", text.split("stderr:")[1])
        self.assertNotIn("err 15", text)
        self.assertIn(f"Directory: {self.run_dir()}", text)
        self.assertEqual(self.waiting(), [])
        self.sync()
        self.assertEqual(len(self.messages()), 1)

    def test_what_is_asked_for_is_told_in_its_order(self):
        self.set(on="start,end,notify", when="val_loss > 10", level="error")
        (self.cwd / "a.png").write_bytes(png(20, 10))
        script = """
            poster log metric val_loss=1 --step 1
            poster log metric val_loss=11 acc=0.5 --step 2
            poster log metric val_loss=12 --step 3
            poster log message 'not told' --level warning
            poster log message 'is told' --level error
            poster log notify 'converged & <done>'
            poster log image samples a.png --step 3 --caption 'a caption'
            printf '{"kind":"image","name":"samples","path":"images/samples/3.png","step":3,"caption":"c < d","notify":true}\\n' \
                >> "$POSTER_EVENTS_DIR/mine.jsonl"
        """
        self.launch("sh", "-c", script, options=["--name", "n"])
        self.sync()
        firsts = [text.splitlines()[0] for text in self.texts()]
        self.assertEqual(firsts[0], "▶️ n: started")
        self.assertEqual(
            sorted(firsts[1:-1]),
            sorted(["📈 n: val_loss > 10", "⚠️ n: error logged", "💬 n", "🖼 n: samples, step 3"]),
        )
        self.assertTrue(firsts[-1].startswith("✅ n: finished in"), firsts)
        self.assertIn("\nMetrics: acc 0.5 (step 2), val_loss 12 (step 3)\n", self.texts()[-1])
        (photo,) = [message for message in self.messages() if message["method"] == "sendPhoto"]
        self.assertEqual((photo["photo"][0]["width"], photo["photo"][0]["height"]), (20, 10))
        self.assertIn("c < d", photo["caption"])

    def test_an_image_that_is_no_photo_goes_as_a_document(self):
        for width, height in ((2100, 100), (6000, 5000)):
            with self.subTest(width=width):
                self.fresh_store()
                self.set(on="notify")
                image = png(width, height)
                (self.cwd / "wide.png").write_bytes(image)
                script = """mkdir -p "$POSTER_RUN_DIR/images"; cp wide.png "$POSTER_RUN_DIR/images/wide.png"
                    printf '{"kind":"image","name":"w","path":"images/wide.png","notify":true}\\n' >> "$POSTER_EVENTS_DIR/m.jsonl"
                """
                self.launch("sh", "-c", script)
                self.sync()
                document = self.messages()[-1]
                self.assertEqual(document["method"], "sendDocument")
                self.assertEqual(document["document"]["file_size"], len(image))

    def test_a_long_text_comes_in_parts_and_all_of_it(self):
        self.set(on="notify")
        lines = [f"line {i} <tag> & 😀 {'x' * (i % 50)}" for i in range(220)]
        script = "import json,os;open(os.environ['POSTER_EVENTS_DIR']+'/m.jsonl','a').write(json.dumps({'kind':'notify','text':open('t').read()})+'\\n')"
        (self.cwd / "t").write_text("\n".join(lines))
        self.launch(sys.executable, "-c", script)
        self.sync()
        texts = self.texts()
        self.assertGreater(len(texts), 2)
        got = "\n".join(texts)
        for line in lines:
            self.assertIn(line.strip(), got)

    def test_a_multirun_is_one_summary(self):
        script = "echo for $0; exit $0"
        (self.cwd / "runs").write_text("".join(f"sh -c '{script}' {code}\n" for code in (0, 0, 3, 0, 5)))
        self.poster("run", "-q", "--file", "runs", "--jobs", "2", env=self.env)
        self.sync()
        (text,) = self.texts()
        self.assertIn("3 of 5 runs finished", text.splitlines()[0])
        self.assertIn("failed with exit code 3", text)
        self.assertIn("failed with exit code 5", text)
        self.assertEqual(self.waiting(), [])

    def test_each_run_of_a_multirun_is_told_where_that_is_wanted(self):
        self.set(multirun="each")
        (self.cwd / "runs").write_text("true\ntrue\nfalse\n")
        self.poster("run", "-q", "--file", "runs", env=self.env)
        self.sync()
        self.assertEqual(len(self.texts()), 3)

    def test_a_silent_run_is_told_of_while_it_lasts(self):
        self.set(on="stalled", stalled_after="300ms")
        self.env["POSTER_SYNC_MODE"] = "auto"
        process = self.start("sh", "-c", "echo last words; read line", stdin=subprocess.PIPE)
        wait_until(self.texts, what="the message")
        (text,) = self.texts()
        self.assertIn("silent for", text)
        self.assertIn("last words", text)
        process.communicate(b"\n")

    def test_it_arrives_by_itself(self):
        self.env["POSTER_SYNC_MODE"] = "auto"
        self.launch("sh", "-c", "exit 1")
        wait_until(self.texts, what="the message")
        wait_until(lambda: self.waiting() == [], what="its receipt")
        self.assertEqual(len(self.messages()), 1)


@poster_only
class Faults(TelegramTest):
    """Nothing is lost and nothing comes twice; nothing is called delivered that is not."""

    def a_run(self, text="one"):
        self.set(on="notify")
        self.launch("sh", "-c", f"poster log notify '{text}'")

    def assert_waits(self):
        self.assertEqual([entry["kind"] for entry in self.waiting()], ["notify"])
        self.assertEqual(self.texts(), [])

    def assert_arrives_once(self, text="one", perhaps=False):
        """perhaps: what was handed to the network before it broke may have arrived, as far as poster can know."""
        self.sync()
        self.sync()
        self.assertEqual([text in it for it in self.texts()], [True], self.texts())
        if not perhaps:
            self.assertNotIn(REPEAT, self.texts()[0])
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
        for mode, amount in (("refuse", 0), ("cut", 0), ("cut", 200), ("cut", 400)):
            with self.subTest(mode=mode, amount=amount), FaultProxy(self.server.port) as proxy:
                self.fresh_store()
                self.before = len(self.all_messages())
                self.through(proxy)
                self.a_run()
                proxy.set(mode, amount)
                self.sync(check=1)
                self.assert_waits()
                proxy.set("pass")
                self.assert_arrives_once(perhaps=mode == "cut")

    def test_the_network_stands_still(self):
        with FaultProxy(self.server.port) as proxy:
            self.through(proxy)
            self.a_run()
            proxy.set("stall", 200)
            sync = self.start_poster("sync")
            wait_until(lambda: proxy.moved["up"] >= 200, what="the beginning of the message")
            proxy.reset_all()
            proxy.set("pass")
            sync.wait()
            self.assert_arrives_once(perhaps=True)

    def test_an_answer_that_is_lost_makes_a_marked_repeat(self):
        with FaultProxy(self.server.port) as proxy:
            self.through(proxy)
            self.a_run()
            proxy.set("cut", 1, direction="down", times=1)
            self.sync()
            texts = self.texts()
            self.assertEqual([REPEAT in text for text in texts], [False, True], texts)
            self.assertEqual(self.waiting(), [])

    def test_a_wrong_token_waits_for_the_user(self):
        self.a_run()
        self.set(token="123456:WRONG")
        words = self.sync(check=1)
        self.assertIn("Unauthorized", words)
        self.assertIn("@BotFather", words)
        self.assertNotIn("WRONG", words)
        self.assert_waits()
        self.use(self.server.env)
        self.sync(check=1)  # not by itself
        self.assert_waits()
        self.sync("--retry-failed")
        self.assert_arrives_once()

    def test_a_chat_that_is_not_there_waits_for_the_user(self):
        for chat, words in (("7", "send the bot a message first"), ("403", "unblock the bot")):
            with self.subTest(chat=chat):
                self.fresh_store()
                self.set(chat=chat)
                self.a_run()
                self.assertIn(words, self.sync(check=1))
                self.assert_waits()

    def test_a_flood_is_waited_out(self):
        self.set(chat="429")
        self.a_run("flood " + self.tmp.name)
        begin = time.monotonic()
        self.assert_arrives_once("flood")
        self.assertGreaterEqual(time.monotonic() - begin, 1)

    def test_a_server_in_trouble_is_tried_again(self):
        self.set(chat="500")
        self.a_run()
        self.assertIn("502", self.sync(check=1))
        self.assert_waits()
        self.set(chat="42")
        self.assert_arrives_once(perhaps=True)
        self.assertIn(REPEAT, self.texts()[0])  # it may have been the gateway alone that was in trouble

    def test_a_machine_that_is_offline_for_the_whole_run_loses_nothing(self):
        self.set(api="http://127.0.0.1:9", on="start,end,notify")
        self.env["POSTER_SYNC_MODE"] = "auto"
        done = self.launch("sh", "-c", "poster log notify one; echo out; exit 4")
        self.assertEqual((done.returncode, done.stdout), (4, b"out\n"))
        wait_until(lambda: len(self.waiting()) == 3, what="the entries")
        self.use(self.server.env)
        self.env["POSTER_SYNC_MODE"] = "manual"
        wait_until(lambda: self.poster("sync").returncode == 0, what="the delivery")
        self.assertEqual(len(self.texts()), 3)

    def assert_noted_are_there(self):
        word_of = lambda entry: re.search(r"text-\d+-\d+-", delivered.payload_of(entry)).group()
        return delivered.assert_messages_are_there(self, self.run_dirs(), "telegram", self.texts, word_of)

    def test_sync_killed_at_any_moment_loses_nothing_and_repeats_nothing(self):
        self.set(on="notify")
        random.seed(os.environ.get("POSTER_SEED", "7"))
        wanted = []
        kills = int(os.environ.get("POSTER_KILLS", "50"))
        for round in range(5):
            texts = [f"text-{round}-{i}-" for i in range(10)]
            wanted += texts
            self.launch("sh", "-c", "for t in " + " ".join(texts) + "; do poster log notify $t; done")
            delivered.kill_at_random_moments(lambda: self.start_poster("sync"), self.assert_noted_are_there, kills // 5, 0.15)
        wait_until(lambda: self.poster("sync").returncode == 0, what="the delivery of all")
        self.assertEqual(self.waiting(), [])
        self.assertEqual(self.assert_noted_are_there(), len(wanted))
        got = [text.splitlines()[1] for text in self.texts()]
        self.assertEqual(sorted(got), sorted(wanted))


@poster_only
class Secrets(TelegramTest):
    def assert_token_nowhere(self, *words):
        for word in words:
            self.assertNotIn(TOKEN.encode(), word)
        for path in self.store.rglob("*"):
            if path.is_file():
                self.assertNotIn(TOKEN.encode(), path.read_bytes(), path)

    def test_the_token_is_nowhere_but_on_its_way(self):
        with FaultProxy(self.server.port) as proxy:
            self.through(proxy)
            self.set(on="end,notify")
            done = self.launch("sh", "-c", "exit 1", quiet=False)
            proxy.set("stall", 100)
            sync = self.start_poster("sync", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
            wait_until(lambda: proxy.moved["up"] >= 100, what="the beginning of the message")
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                self.assertNotIn(TOKEN.encode(), read_bytes(process / "cmdline"), process)
            proxy.set("pass")
            out, err = sync.communicate()
            proxy.set("refuse")
            self.launch("sh", "-c", "exit 1")
            failed = self.poster("sync", check=1)
            config = self.poster("config", check=0)
            callbacks = self.poster("callbacks", "--json", check=0)
            test = self.poster("notify", "test", store=False)
            self.assertEqual(test.returncode, 1)
            self.assert_token_nowhere(
                done.stderr, out, err, failed.stdout, failed.stderr, config.stdout, callbacks.stdout, test.stderr
            )

    def test_a_token_file_that_others_can_read_is_refused_with_what_to_do(self):
        token = self.tmp / "token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o644)
        del self.env["POSTER_TELEGRAM_TOKEN"]
        self.set(token_file=str(token))
        done = self.poster("notify", "test", store=False, check=1)
        self.assertIn(f"chmod 600 {token}", done.stderr.decode())
        token.chmod(0o600)
        self.poster("notify", "test", store=False, check=0)
        self.assertIn("A test message", self.texts()[-1])

    def test_a_token_by_a_command(self):
        del self.env["POSTER_TELEGRAM_TOKEN"]
        self.set(token_command=f"echo {TOKEN}")
        self.poster("notify", "test", store=False, check=0)

    def test_a_plain_token_is_taken_with_a_warning(self):
        del self.env["POSTER_TELEGRAM_TOKEN"]
        (self.cwd / "poster.toml").write_text(f'[telegram]\ntoken = "{TOKEN}"\n')
        done = self.poster("notify", "test", store=False, check=0)
        self.assertIn("stands plain in", done.stderr.decode())
        self.assertNotIn(TOKEN, done.stderr.decode())


@poster_only
class NotifyTest(TelegramTest):
    def test_it_says_what_arrived(self):
        done = self.poster("notify", "test", store=False, check=0)
        self.assertRegex(done.stdout.decode(), r"^telegram: delivered \(\d+\)\n$")
        self.assertEqual(len(self.messages()), 1)

    def test_it_says_what_failed_and_what_to_do(self):
        self.set(chat="7")
        done = self.poster("notify", "test", "--callback", "telegram", store=False, check=1)
        self.assertIn("chat not found", done.stderr.decode())
        self.assertIn("send the bot a message first", done.stderr.decode())

    def test_nobody_to_send_to(self):
        del self.env["POSTER_TELEGRAM_CHAT"]
        done = self.poster("notify", "test", store=False, check=1)
        self.assertIn("telegram is off: telegram.chat is not set", done.stderr.decode())

    def test_settings_that_cannot_be_meant_run_nothing(self):
        self.set(when="val_loss >")
        done = self.launch("touch", "ran")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"POSTER_TELEGRAM_WHEN", done.stderr)
        self.assertFalse((self.cwd / "ran").exists())


@needs_venv
@poster_only
class AnotherClient(TelegramTest):
    """python-telegram-bot, which shares no code with poster, against the same stand-in."""

    def test_it_is_answered_as_poster_is(self):
        self.launch("sh", "-c", "echo 'a <b> & c' >&2; exit 1")
        self.sync()
        request = [json.loads(line) for line in read_bytes(self.server.state / "requests.jsonl").splitlines()][-1]
        script = """
import asyncio, json, sys, telegram
async def send():
    async with telegram.Bot(sys.argv[1], base_url=sys.argv[2] + "/bot") as bot:
        sent = await bot.send_message(42, sys.argv[3], parse_mode="HTML")
        try:
            await bot.send_message(7, "x")
        except telegram.error.BadRequest as error:
            print(json.dumps([sent.text, sent.message_id, str(error)]))
asyncio.run(send())
"""
        words = [VENV_PYTHON, "-c", script, TOKEN, self.server.env["POSTER_TELEGRAM_API"], request["args"]["text"]]
        text, number, error = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
        ours, theirs = self.texts()
        self.assertEqual((ours, theirs), (text, text))
        self.assertEqual(error, "Chat not found")


if __name__ == "__main__":
    main()
