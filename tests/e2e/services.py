"""The real services of the tests: S3, SSH, SMTP, Slurm, and the stand-in for Telegram, each on free ports of 127.0.0.1.

    class Upload(PosterTest):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.server = cls.enterClassContext(s3())

A service has `port`, `state` (the folder of all it writes) and `env` (variables for whoever uses it), may be stopped and
started again at the same port, and does not outlive the process of the test, however that ends. What this machine
cannot have is skipped with the reason; with CI=true that is an error.
"""

import contextlib
import os
import pathlib
import random
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

SERVICES = pathlib.Path(__file__).resolve().parent.parent / "services"
SCRIPTS = SERVICES.parent.parent / "scripts"
sys.path.append(str(SERVICES))

from fault_proxy import FaultProxy  # noqa: E402,F401 (for the tests)
from s3_front import Answer, S3Front, error  # noqa: E402,F401


def cannot(reason):
    """Skips the test; in CI everything can be had."""
    if os.environ.get("CI") == "true":
        raise RuntimeError(reason)
    raise unittest.SkipTest(reason)


def need_programs(*paths):
    for path in paths:
        if shutil.which(path, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            cannot(f"{path} is not installed")


def need_root(what):
    if os.geteuid() != 0:
        cannot(f"{what} needs root")


def free_port(count=1):
    """The first of `count` ports in a row that nobody has now; below those that the kernel gives to clients."""
    while True:
        first = random.randrange(20000, 32000)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


class Service:
    """One that NAME-up.sh starts and NAME-down.sh stops."""

    ports = 1

    def __init__(self, name, **variables):
        self.name = name
        self.state = pathlib.Path(tempfile.mkdtemp(prefix=f"poster-{name}-"))
        self.variables = variables  # for the start script
        self.port = None
        self._watch()

    def _watch(self):
        """A process that stops the service and removes its folder when the pipe to this one closes, also by SIGKILL."""
        script = 'cat >/dev/null; "$1" "$2" --remove; rm -rf "$2"'
        down = SERVICES / f"{self.name}-down.sh"
        self._watcher = subprocess.Popen(
            ["sh", "-c", script, "sh", str(down), str(self.state)], stdin=subprocess.PIPE, start_new_session=True
        )

    def start(self):
        """Starts it, at the same port as before; the first time at a free one."""
        for _ in range(5):
            port = self.port or free_port(self.ports)
            done = self._script("up", str(port), **self.variables)
            if done.returncode == 0:
                self.port = port
                return self
            self.stop()  # another program may have taken the port meanwhile
        raise RuntimeError(f"{self.name} could not be started: {done.stdout}")

    def stop(self):
        """Stops it; its data stay."""
        self._script("down")

    def _script(self, which, *words, **variables):
        return subprocess.run(
            [SERVICES / f"{self.name}-{which}.sh", self.state, *words],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    @property
    def env(self):
        """What STATE/env exports."""
        words = shlex.split((self.state / "env").read_text())
        return dict(word.split("=", 1) for word in words if "=" in word)

    def close(self):
        self._watcher.stdin.close()
        self._watcher.wait()

    def proxy(self):
        """The network to it, which can be broken: a context manager, see fault_proxy.py."""
        return FaultProxy(self.port)


class S3(Service):
    """Port: http; the next one: https."""

    ports = 2

    @property
    def ca_file(self):
        return self.state / "tls" / "ca.pem"

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint_tls(self):
        return f"https://localhost:{self.port + 1}"

    def make_bucket(self, name):
        """The folder whose files are its objects."""
        folder = self.state / "data" / name
        folder.mkdir()
        return folder


class Sshd(Service):
    """Hosts ptest and, as root, psftp of `ssh_config`."""

    @property
    def ssh_config(self):
        return self.state / "ssh_config"

    @property
    def env(self):
        return {}

    @property
    def sftp_root(self):
        """What is / for psftp; it may write to /data."""
        return pathlib.Path((self.state / "chroot").read_text().strip())


class Smtp(Service):
    """Port: STARTTLS; the next one: TLS from the start."""

    ports = 2

    @property
    def ca_file(self):
        return self.state / "tls" / "ca.pem"

    def mails(self):
        """The files of the mails that arrived, the oldest first."""
        return sorted((self.state / "Maildir" / "new").iterdir(), key=lambda file: file.stat().st_mtime_ns)


class Telegram(Service):
    @property
    def messages(self):
        """Its accepted messages, a line of JSON each."""
        return self.state / "messages.jsonl"


class Slurm(Service):
    """A cluster of the nodes one and two: `env` for sbatch and its kind."""

    ports = 3


@contextlib.contextmanager
def running(kind, name, **variables):
    service = kind(name, **variables)
    try:
        yield service.start()
    finally:
        service.close()


def s3():
    need_programs("openssl", "curl")
    return running(S3, "s3", VERSITYGW=s3_server())


def sshd():
    need_programs("sshd", "ssh", "ssh-keygen", "rsync")
    return running(Sshd, "sshd")


def smtp():
    need_programs("exim4", "openssl")
    need_root("exim with a configuration of ours")
    return running(Smtp, "smtp")


def telegram():
    need_programs("curl")
    return running(Telegram, "telegram")


def slurm():
    need_programs("slurmctld", "slurmd", "munged", "sbatch")
    need_root("slurmd, which starts jobs,")
    return running(Slurm, "slurm")


def s3_server():
    """The binary that scripts/test_s3_server has built, which takes a minute or more where it has not."""
    done = subprocess.run([SCRIPTS / "test_s3_server"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        cannot(f"the S3 server could not be built: {done.stderr[-300:]}")
    return done.stdout.strip()


@contextlib.contextmanager
def small_disk(size):
    """A folder on a disk of its own of that size ("8m"), which can be filled."""
    need_root("a disk of a few megabytes")
    folder = tempfile.mkdtemp(prefix="poster-disk-")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "poster-test", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        if done.returncode != 0:
            cannot(f"no disk can be mounted here: {done.stdout.strip()}")
        yield pathlib.Path(folder)
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)
        os.rmdir(folder)
