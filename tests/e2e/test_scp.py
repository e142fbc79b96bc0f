"""Copies at a host that is reached by ssh, with OpenSSH's own server and with all that can go wrong on the way."""

import pathlib
import random
import subprocess
import time

from copies import ODD_NAMES, CopiesTest
from harness import main, needs_root, poster_only, wait_until
from services import need_root, small_disk, sshd


@poster_only
class Scp(CopiesTest):
    callback = "scp"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(sshd())

    def setUp(self):
        super().setUp()
        self.server.start()
        self.use("ptest", self.tmp / "copies")

    def use(self, host, root, seen_as=None):
        """`seen_as`: the root's path for the account, where that is another."""
        self.root = pathlib.Path(root)
        self.env |= {"POSTER_SCP_TO": f"{host}:{seen_as or root}"}
        self.configure()

    def configure(self, *options, port=None):
        """ssh's configuration: the server's, with these options before it."""
        config = self.tmp / "ssh_config"
        text = self.server.ssh_config.read_text()
        if port:
            text = text.replace(f"Port {self.server.port}", f"Port {port}")
            options = [*options, f"HostKeyAlias [127.0.0.1]:{self.server.port}"]
        config.write_text("\n".join([*options, text]))
        self.env |= {"POSTER_SCP_SSH_CONFIG": str(config)}

    def use_sftp_alone(self):
        need_root("an account in a chroot")
        root = self.server.sftp_root / "data" / self.tmp.name
        self.addCleanup(subprocess.run, ["rm", "-rf", root])
        self.use("psftp", root, f"/data/{self.tmp.name}")

    def logins(self):
        return (self.server.state / "sshd.log").read_text().count("Accepted publickey")

    def assert_fails(self, *words, options=()):
        done = self.sync(*options)
        said = (done.stdout + done.stderr).decode()
        self.assertEqual(done.returncode, 1, said)
        for word in words:
            self.assertIn(word, said)
        return said

    # ---- what arrives

    def test_a_run_is_copied_whatever_its_files_are_called(self):
        for use in (lambda: None, self.use_sftp_alone):
            with self.subTest(use=use):
                use()
                run = self.make_run({name: name.encode() for name in [*ODD_NAMES, "line\nbreak"]} | {"empty": b""})
                done = self.sync()
                self.assertEqual(done.returncode, 0, (done.stdout, done.stderr))
                self.assert_arrived(self.root, run)

    def test_a_path_that_is_relative_begins_where_a_login_does(self):
        self.use_sftp_alone()
        self.env |= {"POSTER_SCP_TO": f"psftp:{self.tmp.name}/deep"}
        run = self.make_run({"a": b"a"})
        self.assertEqual(self.sync().returncode, 0)
        self.assert_arrived(self.root / "deep", run)

    def test_a_thousand_small_files_take_a_handful_of_logins(self):
        run = self.make_run({f"{i}.txt": f"file {i}".encode() for i in range(1000)})
        before = self.logins()
        self.assertEqual(self.sync().returncode, 0)
        self.assertLessEqual(self.logins() - before, 3)
        self.assert_arrived(self.root, run)

    def test_a_run_comes_back_from_there(self):
        for use in (lambda: None, self.use_sftp_alone):
            with self.subTest(use=use):
                use()
                run = self.make_run({"model": random.randbytes(2_000_000), "sp ace": b"x"})
                self.assertEqual(self.sync().returncode, 0)
                content = (run / "files" / "model").read_bytes()
                subprocess.run(["rm", "-r", run / "files"], check=True)
                self.poster("fetch", run.name, check=0)
                self.assertEqual((run / "files" / "model").read_bytes(), content)

    # ---- what is for the user to mend

    def test_a_key_that_the_host_does_not_take_is_for_the_user_to_mend(self):
        run = self.make_run({"a": b"a"})
        text = self.server.ssh_config.read_text().replace("/id\n", "/id_wrong\n")
        (self.tmp / "wrong_key").write_text(text)
        right = self.env["POSTER_SCP_SSH_CONFIG"]
        self.env |= {"POSTER_SCP_SSH_CONFIG": str(self.tmp / "wrong_key")}
        self.assert_fails("Permission denied", "ssh -o BatchMode=yes ptest true")
        self.env |= {"POSTER_SCP_SSH_CONFIG": right}
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_a_host_with_another_key_gets_nothing(self):
        run = self.make_run({"a": b"a"})
        self.configure(f"UserKnownHostsFile {self.server.state}/known_hosts.wrong")
        self.assert_fails("the host key has changed", "ssh-keygen -R")
        self.configure("UserKnownHostsFile /dev/null")
        self.assert_fails("the host key is not known", options=["--retry-failed"])
        self.assertFalse(self.root.exists())
        self.configure()
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_a_destination_that_would_be_an_option_of_ssh_starts_nothing(self):
        self.make_run({"a": b"a"})
        for to in (f"-oProxyCommand=touch {self.tmp}/started:/x", "a b:/x"):
            self.env |= {"POSTER_SCP_TO": to}
            for command in (["sync"], ["run", "true"]):
                done = self.poster(*command)
                self.assertEqual((done.returncode, done.stderr[:8]), (2, b"poster: "), (to, command))
        self.assertFalse((self.tmp / "started").exists())

    @needs_root
    def test_a_folder_that_the_account_may_not_write_to_is_for_the_user_to_mend(self):
        self.use_sftp_alone()
        self.root.mkdir()  # root's
        self.make_run({"a": b"a"})
        self.assert_fails("Permission denied", "must be allowed to write")

    # ---- what passes

    def test_a_server_that_is_down_for_the_whole_run_gets_all_later(self):
        self.server.stop()
        run = self.make_run({"model": random.randbytes(1_000_000)})
        self.assert_fails("Connection refused")
        self.server.start()
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_a_run_with_no_network_ends_as_it_would_and_is_copied_later(self):
        self.leaves_processes = True  # `poster deliver`, which waits for its next try
        with self.server.proxy() as proxy:
            self.configure(port=proxy.port)
            proxy.set("refuse")
            done = self.launch("sh", "-c", "echo out; exit 3", env={**self.env, "POSTER_SYNC_MODE": "auto"})
            self.assertEqual((done.returncode, done.stdout), (3, b"out\n"))
            wait_until(lambda: "refused" in self.sync().stdout.decode())
            proxy.set("pass")
            self.sync_until_done()
            self.assert_arrived(self.root, self.run_dir())

    def test_a_host_that_cannot_be_found_is_looked_for_again(self):
        run = self.make_run({"a": b"a"})
        right = self.env["POSTER_SCP_TO"]
        self.env |= {"POSTER_SCP_TO": "no-such-host.invalid:/x"}
        self.assert_fails("Could not resolve hostname")
        self.env |= {"POSTER_SCP_TO": right}
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_a_connection_that_dies_again_and_again_brings_all_in_the_end(self):
        for use in (lambda: None, self.use_sftp_alone):
            with self.subTest(use=use), self.server.proxy() as proxy:
                use()
                run = self.make_run({"big": random.randbytes(8_000_000), "small": b"x"})
                self.configure(port=proxy.port)
                for cut in (50, 3_000, 100_000, 2_000_000, 5_000_000):
                    proxy.set("cut", cut, times=1)
                    self.sync()
                    self.assert_nothing_false_is_noted(self.root, run)
                proxy.set("pass")
                self.sync_until_done()
                self.assert_arrived(self.root, run)

    def test_a_large_file_goes_on_where_it_was_cut_off(self):
        with self.server.proxy() as proxy:
            run = self.make_run({"big": random.randbytes(30_000_000)})
            self.configure(port=proxy.port)
            proxy.set("cut", 25_000_000, times=1)
            self.sync_until_done()
            self.assertEqual(proxy.cuts, 1)
            self.assertLess(proxy.moved["up"], 45_000_000)
            self.assert_arrived(self.root, run)

    def test_a_connection_that_stalls_is_given_up_and_tried_again(self):
        with self.server.proxy() as proxy:
            run = self.make_run({"big": random.randbytes(8_000_000)})
            self.configure("ServerAliveInterval 1", "ServerAliveCountMax 2", port=proxy.port)
            proxy.set("stall", 3_000_000)
            begun = time.monotonic()
            done = self.sync()  # it may try several times by itself, and goes on where it stalled
            self.assertLess(time.monotonic() - begun, 90)
            self.assertIn(b"not responding", done.stdout + done.stderr)
            self.assert_nothing_false_is_noted(self.root, run)
            proxy.set("pass")
            self.sync_until_done()
            self.assert_arrived(self.root, run)

    def test_a_full_disk_there_gets_the_rest_when_there_is_room(self):
        for shell in (True, False):
            with self.subTest(shell=shell), small_disk("4m") as disk:
                if shell:
                    self.use("ptest", disk)
                else:
                    self.use_sftp_alone()
                    self.root.mkdir()
                    subprocess.run(["mount", "--bind", disk, self.root], check=True)
                    subprocess.run(["chmod", "777", disk], check=True)
                    self.addCleanup(subprocess.run, ["umount", "--lazy", self.root])
                run = self.make_run({"big": random.randbytes(6_000_000), "small": b"small"})
                done = self.sync()
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"No space left on device", done.stdout + done.stderr)
                self.assert_nothing_false_is_noted(self.root, run)
                subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
                self.sync_until_done()
                self.assert_arrived(self.root, run)

    def test_a_sync_that_is_killed_at_any_moment_loses_and_doubles_nothing(self):
        run = self.make_run({"big": random.randbytes(10_000_000)})
        self.kill_at_random_moments(self.root, run, times=50, longest=1.5)
        self.sync_until_done()
        self.assert_nothing_false_is_noted(self.root, run)
        for part in self.root.rglob(".poster-*.part"):  # what kill -9 left, for `poster gc`
            part.unlink()
        self.assert_arrived(self.root, run)


if __name__ == "__main__":
    main()
