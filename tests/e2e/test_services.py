"""The services of the tests themselves: that they start, refuse what they should, and end with the test's process."""

import contextlib
import os
import pathlib
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

from harness import is_running, main, read_bytes, wait_until
from services import FaultProxy, free_port, s3, slurm, small_disk, smtp, sshd, telegram


class Echo:
    """Sends back what it gets, and counts it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._echo, args=self.listener.accept()[:1], daemon=True).start()

    def _echo(self, connection):
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                self.got += len(data)
                connection.sendall(data)


class Proxy(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.listener.close)
        self.proxy = self.enterContext(FaultProxy(self.echo.port))

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=10)
        self.addCleanup(connection.close)
        return connection

    def ask(self, connection, data=b"hello"):
        connection.sendall(data)
        answer = b""
        while len(answer) < len(data) and (more := connection.recv(65536)):
            answer += more
        return answer

    def assert_silent(self, connection):
        connection.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)

    def test_everything_goes_through_at_first(self):
        connection = self.connect()
        self.assertEqual(self.ask(connection), b"hello")
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.recv(1), b"")
        self.assertEqual(self.proxy.moved, {"up": 5, "down": 5})
        self.assertEqual(self.proxy.connections, 1)

    def test_a_refusing_port_resets_what_is_open_and_can_be_opened_again_at_the_same_number(self):
        connection = self.connect()
        self.ask(connection)
        for _ in range(3):
            self.proxy.set("refuse")
            with self.assertRaises(ConnectionRefusedError):
                self.connect()
            with self.assertRaises(ConnectionResetError):
                connection.recv(1)
            self.proxy.set("pass")
            connection = self.connect()
            self.assertEqual(self.ask(connection), b"hello")

    def test_a_cut_lets_exactly_so_many_bytes_through_of_which_the_reset_may_take_some(self):
        self.proxy.set("cut", 100_000)
        connection = self.connect()
        with self.assertRaises(ConnectionError):
            connection.sendall(bytes(5_000_000))
            self.ask(connection)
        self.assertEqual((self.proxy.moved["up"], self.proxy.cuts), (100_000, 1))
        self.assertLessEqual(self.echo.got, 100_000)
        with self.assertRaises(ConnectionError):  # the next one too
            self.ask(self.connect(), bytes(200_000))

    def test_a_cut_of_the_answer_counts_what_the_server_sends(self):
        self.proxy.set("cut", 3, direction="down")
        connection = self.connect()
        connection.sendall(b"hello")
        with self.assertRaises(ConnectionResetError):
            while connection.recv(1):
                pass
        self.assertEqual(self.echo.got, 5)

    def test_so_many_connections_are_cut_and_the_next_one_is_not(self):
        self.proxy.set("cut", 0, times=2)
        for _ in range(2):
            with self.assertRaises(ConnectionResetError):
                self.ask(self.connect())
        self.assertEqual(self.ask(self.connect()), b"hello")

    def test_a_stalled_connection_goes_on_when_the_network_is_well_again(self):
        self.proxy.set("stall", 3)
        connection = self.connect()
        connection.sendall(b"hello")
        self.assertEqual(connection.recv(3, socket.MSG_WAITALL), b"hel")
        self.assert_silent(connection)
        self.proxy.set("pass")
        self.assertEqual(connection.recv(2, socket.MSG_WAITALL), b"lo")

    def test_a_black_hole_takes_connections_and_gives_nothing(self):
        before = self.connect()
        self.ask(before)
        self.proxy.set("blackhole")
        after = self.connect()
        for connection in (before, after):
            connection.sendall(b"hello")
            self.assert_silent(connection)
        self.assertEqual(self.echo.got, 5)

    def test_a_slow_network_keeps_its_rate(self):
        self.proxy.set("slow", 100_000)
        connection = self.connect()
        began = time.monotonic()
        self.assertEqual(len(self.ask(connection, bytes(25_000))), 25_000)  # and as much back
        self.assertGreaterEqual(time.monotonic() - began, 0.4)

    def test_its_end_resets_a_connection_whose_reader_does_not_read(self):
        self.proxy.set("pass")
        connection = self.connect()
        connection.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                connection.send(bytes(1 << 20))
        self.proxy.close()
        connection.settimeout(10)
        with self.assertRaises(ConnectionResetError):
            while True:
                connection.send(bytes(1 << 20))

    def test_as_a_program_it_reads_modes(self):
        script = pathlib.Path(sys.modules["fault_proxy"].__file__)
        process = subprocess.Popen(
            [sys.executable, script, str(self.echo.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with process:
            port = int(process.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                self.assertEqual(self.ask(connection), b"hello")
                process.stdin.write("refuse\n")
                process.stdin.flush()
                with self.assertRaises(ConnectionResetError):
                    connection.recv(1)
            process.stdin.close()
        self.assertEqual(process.returncode, 0)


class Services(unittest.TestCase):
    def status(self, url, **options):
        try:
            with urllib.request.urlopen(url, timeout=10, **options) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def test_s3_answers_over_both_ports_and_an_object_is_a_file(self):
        with s3() as server:
            self.assertEqual(self.status(server.endpoint), 403)
            trusted = ssl.create_default_context(cafile=server.ca_file)
            self.assertEqual(self.status(server.endpoint_tls, context=trusted), 403)
            folder = server.make_bucket("bucket")
            curl = ["curl", "-sS", "--fail-with-body", "--aws-sigv4", "aws:amz:us-east-1:s3", "-H"]
            curl += ["x-amz-content-sha256: UNSIGNED-PAYLOAD", "-u"]
            curl += [server.env["AWS_ACCESS_KEY_ID"] + ":" + server.env["AWS_SECRET_ACCESS_KEY"]]
            curl += ["-T", __file__, server.endpoint + "/bucket/a/key"]
            subprocess.run(curl, check=True, timeout=30)
            self.assertEqual((folder / "a" / "key").read_bytes(), pathlib.Path(__file__).read_bytes())

    def test_ssh_has_an_account_with_a_shell_and_one_without(self):
        with sshd() as server:
            ssh = ["ssh", "-F", server.ssh_config]
            self.assertEqual(subprocess.check_output([*ssh, "ptest", "echo hello"], timeout=30), b"hello\n")
            wrong = [*ssh, "-o", f"UserKnownHostsFile={server.state}/known_hosts.wrong", "ptest", "true"]
            self.assertEqual(subprocess.run(wrong, stderr=subprocess.DEVNULL, timeout=30).returncode, 255)
            if os.geteuid() == 0:
                self.assertEqual(subprocess.run([*ssh, "psftp", "true"], capture_output=True, timeout=30).returncode, 1)
                batch = f"put {__file__} /data/copy"
                sftp = ["sftp", "-q", "-F", server.ssh_config, "-b", "-", "psftp"]
                subprocess.run(sftp, input=batch.encode(), check=True, timeout=30, stdout=subprocess.DEVNULL)
                self.assertEqual((server.sftp_root / "data/copy").read_bytes(), pathlib.Path(__file__).read_bytes())
                chroot = server.sftp_root
        self.assertFalse(os.geteuid() == 0 and chroot.exists())

    def test_a_mail_arrives_after_tls_and_a_password(self):
        with smtp() as server, smtplib.SMTP("localhost", server.port, timeout=20) as client:
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@example.org", ["b@example.org"], "Subject: refused\n\n")
            client.rset()
            client.starttls(context=ssl.create_default_context(cafile=server.ca_file))
            client.login(server.env["SMTP_USER"], server.env["SMTP_PASSWORD"])
            client.sendmail("a@example.org", ["b@example.org"], "Subject: hello\n\nworld\n")
            [mail] = wait_until(server.mails, what="the mail")
            self.assertIn(b"Subject: hello", mail.read_bytes())

    def test_the_stand_in_for_telegram_takes_a_message(self):
        with telegram() as server:
            url = f"{server.env['POSTER_TELEGRAM_API']}/bot{server.env['POSTER_TELEGRAM_TOKEN']}/sendMessage"
            self.assertEqual(self.status(f"{url}?chat_id=42&text=hello"), 200)
            self.assertEqual(self.status(f"{url}?chat_id=403&text=hello"), 403)
            self.assertIn(b"hello", server.messages.read_bytes())

    def test_slurm_starts_a_step_on_two_nodes(self):
        with slurm() as cluster:
            step = ["srun", "--nodes=2", "printenv", "SLURMD_NODENAME"]
            said = subprocess.check_output(step, env={**os.environ, **cluster.env}, timeout=30)
            self.assertEqual(sorted(said.split()), [b"one", b"two"])

    def test_a_service_that_was_stopped_starts_again_at_its_port(self):
        with telegram() as server:
            url = f"http://127.0.0.1:{server.port}/bot{server.env['POSTER_TELEGRAM_TOKEN']}/getMe"
            server.stop()
            with self.assertRaises(urllib.error.URLError):
                self.status(url)
            server.start()
            self.assertEqual(self.status(url), 200)

    def test_services_end_and_their_folders_go_when_the_process_of_the_test_is_killed(self):
        code = "import services, time\n"
        code += "with services.telegram() as server:\n print(server.state, flush=True); time.sleep(600)"
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=pathlib.Path(__file__).parent, stdout=subprocess.PIPE, text=True
        )
        with process:
            state = pathlib.Path(process.stdout.readline().strip())
            pid = int(read_bytes(state / "pid"))
            self.assertTrue(is_running(pid))
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: not is_running(pid), what="the end of the service")
        wait_until(lambda: not state.exists(), what="the end of its folder")

    def test_a_small_disk_is_soon_full(self):
        with small_disk("1m") as folder:
            with self.assertRaisesRegex(OSError, "No space left"):
                (folder / "big").write_bytes(bytes(2_000_000))
        self.assertFalse(folder.exists())

    def test_free_ports_are_in_a_row(self):
        port = free_port(2)
        with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
            pass


if __name__ == "__main__":
    main()
