"""What the tests of S3 share: runs with files, a bucket for each test, and what boto3, which shares no code with us, sees."""

import json
import os
import pathlib
import signal
import subprocess
import unittest

from harness import PYTHON, VENV_PYTHON, PosterTest, wait_until
from services import s3

# Keys that a client which encodes or signs them carelessly gets wrong.
ODD_NAMES = (
    "plain.txt", "sp ace", " lead", "plus+", "per%25cent", "100%", "ü", "日本", "😀.png", "a=b&c", "q?x#y", "[b]*'q\"", "semi;,:@$!()",
    "back\\slash", "tilde~", ".hidden", "a+b c%20d",
)  # fmt: skip

WRITER = """
import os, pathlib, sys
folder = pathlib.Path(os.environ["POSTER_FILES_DIR"])
for name in sys.argv[2:]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode() * 3)
if int(sys.argv[1]):
    (folder / "large.bin").write_bytes(os.urandom(int(sys.argv[1])))
"""

# Reads everything in the bucket into the folder.
READER = """
seen = {}
for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
    for entry in page.get("Contents", []):
        path = pathlib.Path(folder) / entry["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, entry["Key"], str(path))
        head = client.head_object(Bucket=bucket, Key=entry["Key"])
        seen[entry["Key"]] = {"bytes": entry["Size"], "metadata": head["Metadata"], "etag": entry["ETag"]}
uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
result = {"objects": seen, "uploads": [upload["Key"] for upload in uploads]}
"""

# A line of JSON for each: [code, variables]; `result` is answered.
BOTO3 = """
import boto3, json, pathlib, sys
client = boto3.client("s3", endpoint_url=sys.argv[1])
for line in sys.stdin:
    code, variables = json.loads(line)
    names = {"client": client, "pathlib": pathlib, "result": None, **variables}
    exec(code, names)
    print(json.dumps(names["result"]), flush=True)
"""

MEBIBYTE = 1 << 20


class S3Case(PosterTest):
    server = _boto3 = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if S3Case.server is None:  # one for all classes of a module
            S3Case.server = unittest.enterModuleContext(s3())
            unittest.addModuleCleanup(S3Case.forget_server)

    @staticmethod
    def forget_server():
        if S3Case._boto3 is not None:
            S3Case._boto3.communicate()
        S3Case.server = S3Case._boto3 = None

    @classmethod
    def boto3(cls, code, **variables):
        """Runs the code in a process that has boto3, and the `client` of the server; gives its `result`."""
        if cls._boto3 is None:
            env = {**os.environ, **cls.server.env, "NO_PROXY": "*"}
            command = [VENV_PYTHON, "-c", BOTO3, cls.server.endpoint]
            S3Case._boto3 = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls._boto3.stdin.write(json.dumps([code, variables]) + "\n")
        cls._boto3.stdin.flush()
        return json.loads(cls._boto3.stdout.readline() or "null")

    def setUp(self):
        super().setUp()
        self.bucket = "t-" + self.tmp.name.lower().replace("_", "-").strip("-")
        self.objects = self.server.make_bucket(self.bucket)
        self.env |= {name: value for name, value in self.server.env.items() if name != "POSTER_S3_ENDPOINT"}
        self.env |= {"POSTER_S3_BUCKET": self.bucket, "POSTER_SYNC_MODE": "manual", "POSTER_S3_PART_SIZE": "5"}
        self.env |= {"POSTER_S3_TIMEOUT": "3s", "NO_PROXY": "*"}

    def through(self, proxy):
        """From now on poster reaches the server through this proxy."""
        self.env |= {"POSTER_S3_ENDPOINT": f"http://127.0.0.1:{proxy.port}"}

    def make_run(self, *names, large=0):
        before = set(self.run_dirs())
        self.launch(*PYTHON, "-c", WRITER, large, *names)
        [run] = set(self.run_dirs()) - before
        return run

    @staticmethod
    def files_of(run):
        """Those that are copied."""
        for path in run.rglob("*"):
            if path.is_file() and path.relative_to(run).parts[0] != "outbox" and path.name not in ("lock", "heartbeat"):
                yield path.relative_to(run)

    def sync(self, *words, check=0, **options):
        return self.poster("sync", *words, check=check, timeout=300, **options)

    def sync_in_vain(self, *words, said):
        """Ends a sync once it has said that; it would go on trying for seconds."""
        with open(self.tmp / "said", "w+b") as output:
            process = self.start_poster("sync", *words, stdout=output, stderr=output)
            told = lambda: (self.tmp / "said").read_text()
            wait_until(lambda: said in told() or process.poll() is not None, what=f"the word of {said}")
            process.send_signal(signal.SIGINT)
            self.assertNotEqual(process.wait(60), 0)
            self.assertIn(said, told())

    def seen_by_boto3(self):
        folder = self.tmp / "seen"
        return folder, self.boto3(READER, bucket=self.bucket, folder=str(folder))

    def assert_arrived(self, run=None):
        """Every file of the run is there as it is here, and what is noted as delivered is there; boto3 says so."""
        run = run or self.run_dir()
        folder, seen = self.seen_by_boto3()
        here = set(self.files_of(run))
        there = {pathlib.Path(key).relative_to(f"runs/{run.name}") for key in seen["objects"]}
        self.assertEqual(there - {pathlib.Path("manifest.json")}, here)
        for path in here:
            self.assertEqual((folder / "runs" / run.name / path).read_bytes(), (run / path).read_bytes(), path)
        self.assertEqual(seen["uploads"], [])
        return seen["objects"]
