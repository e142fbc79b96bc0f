"""Copies at a host that is reached by ssh, with large files sent by rsync."""

import os
import pathlib
import random
import signal

import test_scp
from copies import ODD_NAMES
from harness import main, poster_only, wait_until

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

    def wrap(self, script):
        """From now on this shell script is found for rsync; `rsync` in it is the real one."""
        wrapper = self.tmp / "bin" / "rsync"
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text(f"#!/bin/sh\nPATH=${{PATH#*:}}\n{script}\n")
        wrapper.chmod(0o755)
        self.right_path = self.env["PATH"]
        self.env |= {"PATH": f"{wrapper.parent}:{self.right_path}"}

    def unwrap(self):
        self.env |= {"PATH": self.right_path}

    def copy_of(self, run, name):
        return self.root / "runs" / run.name / "files" / name

    def test_the_root_is_no_pattern_and_may_have_odd_letters(self):
        other = self.tmp / "runs1 b'c"
        other.mkdir()
        self.use("ptest", self.tmp / "runs[1] *'c")
        run = self.make_run({"model": random.randbytes(2_000_000)})
        self.assertEqual(self.sync().returncode, 0)
        self.assert_arrived(self.root, run)
        self.assertEqual(list(other.iterdir()), [])

    def test_a_folder_at_the_host_may_be_a_link(self):
        elsewhere = self.tmp / "elsewhere"
        elsewhere.mkdir()
        self.root.mkdir()
        (self.root / "runs").symlink_to(elsewhere)
        run = self.make_run({"model": random.randbytes(2_000_000)})
        self.assertEqual(self.sync().returncode, 0)
        self.assertTrue((self.root / "runs").is_symlink())
        self.assert_arrived(self.root, run)

    def test_what_a_killed_sync_leaves_running_writes_to_no_copy(self):
        self.leaves_processes = True
        run = self.make_run({"model": random.randbytes(8 * MEBIBYTE)})
        self.wrap('exec rsync --bwlimit=1500 "$@"')
        process = self.start_poster("sync", run.name)
        parts = lambda: [path for path in self.root.rglob("*.part") if path.stat().st_size > MEBIBYTE]
        wait_until(parts, what="a part of the file")
        process.kill()
        process.wait()
        left = self.programs_in(self.root)
        self.assertTrue(left)
        for pid in left:  # until the next sync is done
            os.kill(pid, signal.SIGSTOP)
        self.unwrap()
        content = random.randbytes(8 * MEBIBYTE)
        self.save(run, {"model": content})
        self.assertEqual(self.sync().returncode, 0)
        self.assertTrue(self.copy_of(run, "model").read_bytes() == content)
        for pid in left:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: not self.programs_in(self.root), what="the end of what was left")
        self.assertTrue(self.copy_of(run, "model").read_bytes() == content)

    @staticmethod
    def programs_in(folder):
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if pathlib.Path(os.readlink(process / "cwd")).is_relative_to(folder):
                    found.append(int(process.name))
            except OSError:
                continue
        return found

    def test_what_a_broken_try_brought_is_not_sent_again(self):
        size = 12 * MEBIBYTE
        begun = self.tmp / "begun"
        with self.server.proxy() as proxy:
            run = self.make_run({"model": random.randbytes(size)})
            self.configure(port=proxy.port)
            self.wrap(f'[ -e {begun} ] && exec rsync "$@"; touch {begun}; exec timeout -s KILL 2 rsync --bwlimit=4000 "$@"')
            self.sync_until_done()
            self.assertTrue(begun.exists())
            self.assertLess(proxy.moved["up"], size + 4 * MEBIBYTE)
        self.assert_arrived(self.root, run)

    def test_a_file_that_grows_is_there_as_it_was_looked_at(self):
        """And not longer, though rsync takes what there is by then."""
        begun = self.tmp / "rsync-begins"
        grow = 'import glob, sys; open(glob.glob(sys.argv[1])[0], "ab").write(b"later")'
        self.wrap(f"[ -e {begun} ] || python3 -c '{grow}' '{self.store}/runs/*/files/log'\ntouch {begun}\nexec rsync \"$@\"")
        content = random.randbytes(3 * MEBIBYTE)
        run = self.make_run({"log": content})
        done = self.poster("sync", run.name, check=1)
        self.assertTrue(begun.exists())
        self.assertIn(b"files/log changed meanwhile", done.stderr)
        self.assertTrue(self.copy_of(run, "log").read_bytes() == content)
        self.unwrap()
        self.sync_until_done()
        self.assert_arrived(self.root, run)

    def test_what_takes_the_place_of_a_file_is_not_followed(self):
        """A link, a folder with a link, and a link in the place of a folder, while another file is on its way."""
        secret = random.randbytes(40 * MEBIBYTE)
        outside = self.tmp / "outside"
        outside.mkdir()
        (outside / "large").write_bytes(secret)
        swaps = {
            "link": "rm {0}/d/large; ln -s {1}/large {0}/d/large",
            "folder": "rm {0}/d/large; mkdir {0}/d/large; ln -s {1} {0}/d/large/link",
            "linked folder": "rm -r {0}/d; ln -s {1} {0}/d",
        }
        for name, swap in swaps.items():
            with self.subTest(name):
                run = self.make_run({"a": random.randbytes(40 * MEBIBYTE), "d/large": random.randbytes(40 * MEBIBYTE)})
                begun = self.tmp / f"begun {name}"
                swap = swap.format(run / "files", outside)
                self.wrap(f'[ -e "{begun}" ] || {{ touch "{begun}"; {swap}; }}\nexec rsync "$@"')
                self.sync()
                self.unwrap()
                self.assertTrue(begun.exists())
                there = [path for path in self.root.rglob("*") if path.is_file()]
                self.assertEqual([path for path in there if path.read_bytes() == secret], [])
                self.assertTrue(self.copy_of(run, "a").read_bytes() == (run / "files" / "a").read_bytes())

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
