"""Copies at a host that is reached by ssh, with large files sent by rsync."""

import random

import test_scp
from copies import ODD_NAMES
from harness import main, poster_only

MEBIBYTE = 1 << 20


@poster_only
class Rsync(test_scp.Scp):
    """All that can go wrong with scp, and what is special about rsync."""

    # Where the method makes no difference.
    test_a_path_that_is_relative_begins_where_a_login_does = None
    test_a_thousand_small_files_take_a_handful_of_logins = None
    test_a_key_that_the_host_does_not_take_is_for_the_user_to_mend = None
    test_a_host_with_another_key_gets_nothing = None
    test_a_destination_that_would_be_an_option_of_ssh_starts_nothing = None
    test_a_folder_that_the_account_may_not_write_to_is_for_the_user_to_mend = None
    test_a_run_with_no_network_ends_as_it_would_and_is_copied_later = None
    test_a_host_that_cannot_be_found_is_looked_for_again = None

    def setUp(self):
        super().setUp()
        self.env |= {"POSTER_SCP_METHOD": "rsync"}

    def use_sftp_alone(self):
        self.skipTest("rsync wants a shell")

    def test_of_a_file_that_replaces_another_only_what_differs_goes_over_the_line(self):
        content = bytearray(random.randbytes(24 * MEBIBYTE))
        with self.server.proxy() as proxy:
            run = self.make_run({"model": content})
            self.configure(port=proxy.port)
            self.sync_until_done()
            before = proxy.moved["up"]
            content[12_000_000:12_000_100] = random.randbytes(100)
            self.save(run, {"model": content[:-1000]})
            self.sync_until_done()
            self.assertLess(proxy.moved["up"] - before, 2 * MEBIBYTE)
        self.assert_arrived(self.root, run)

    def test_large_files_are_copied_whatever_their_folders_are_called(self):
        run = self.make_run({f"{name}/{name}.bin": random.randbytes(1_200_000) for name in [*ODD_NAMES, "line\nbreak"]})
        done = self.sync()
        self.assertEqual(done.returncode, 0, (done.stdout, done.stderr))
        self.assert_arrived(self.root, run)

    def test_a_file_that_grows_is_there_as_it_was_looked_at(self):
        """And not longer, though rsync takes what there is by then."""
        begun = self.tmp / "rsync-begins"
        wrapper = self.tmp / "bin" / "rsync"
        wrapper.parent.mkdir()
        grow = 'import glob, sys; open(glob.glob(sys.argv[1])[0], "ab").write(b"later")'
        pattern = f"{self.store}/runs/*/files/log"
        rest = 'PATH=${PATH#*:} exec rsync "$@"'
        wrapper.write_text(f"#!/bin/sh\n[ -e {begun} ] || python3 -c '{grow}' '{pattern}'\ntouch {begun}\n{rest}\n")
        wrapper.chmod(0o755)
        content = random.randbytes(3 * MEBIBYTE)
        run = self.make_run({"log": content})
        done = self.poster("sync", run.name, env={**self.env, "PATH": f"{wrapper.parent}:{self.env['PATH']}"}, check=1)
        self.assertTrue(begun.exists())
        self.assertIn(b"files/log changed meanwhile", done.stderr)
        copy = (self.root / "runs" / run.name / "files" / "log").read_bytes()
        self.assertTrue(copy.startswith(content))
        self.assertEqual(len(copy), len(content))
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_a_link_in_the_place_of_a_file_is_not_followed(self):
        secret = self.tmp / "secret"
        secret.write_bytes(random.randbytes(2_000_000))
        run = self.make_run({"model": random.randbytes(2_000_000), "other": random.randbytes(2_000_000)})
        (run / "files" / "model").unlink()
        (run / "files" / "model").symlink_to(secret)
        self.sync()
        there = [path.read_bytes() for path in self.root.rglob("*") if path.is_file()]
        self.assertFalse(secret.read_bytes() in there)
        self.assertTrue((run / "files" / "other").read_bytes() in there)

    def test_a_host_without_rsync_is_for_the_user_to_mend(self):
        run = self.make_run({"big": random.randbytes(2_000_000)})
        shim = self.tmp / "bin" / "ssh"  # as a host whose shell does not find it
        shim.parent.mkdir()
        missing = 'case "$*" in *"rsync --server"*) echo "sh: rsync: not found" >&2; exit 127;; esac'
        shim.write_text(f'#!/bin/sh\n{missing}\nPATH=${{PATH#*:}} exec ssh "$@"\n')
        shim.chmod(0o755)
        right = self.env["PATH"]
        self.env |= {"PATH": f"{shim.parent}:{right}"}
        self.assert_fails("rsync does not work with this host", "set scp.method to sftp")
        self.env |= {"PATH": right, "POSTER_SCP_METHOD": "sftp"}
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_without_rsync_here_is_for_the_user_to_mend(self):
        run = self.make_run({"big": random.randbytes(2_000_000)})
        programs = self.tmp / "programs"
        programs.mkdir()
        for name in ("ssh", "sh"):
            (programs / name).symlink_to(f"/usr/bin/{name}")
        right = self.env["PATH"]
        self.env |= {"PATH": str(programs)}
        self.assert_fails("cannot start rsync", "has to be installed")
        self.env |= {"PATH": right}
        self.sync_until_done()
        self.assert_arrived(self.root, run)


if __name__ == "__main__":
    main()
