"""Whose credentials copies to S3 use: as botocore has it, from the environment, profiles, programs and services."""

import datetime
import http.server
import json
import pathlib
import sys
import threading
import unittest

from harness import main, needs_venv
from s3_case import S3Case
from services import S3Front, error

ROLE = "role of the machine"

# The key and the session token that botocore would use; None: none.
BOTOCORE = """
import botocore.session, os
os.environ.clear()
os.environ.update(env)
try:
    found = botocore.session.Session().get_credentials()
    found = found and found.get_frozen_credentials()
    result = found and [found.access_key, found.token]
except Exception:
    result = None
"""


def profile(key, name="default"):
    return f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = s\n"


def in_a_while(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Metadata:
    """The services that hand out credentials to machines (with the token of version 2) and to containers."""

    def __init__(self):
        self.asked = []
        self.lasts = 3600  # seconds
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self):
                good = self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit()
                self.say(200 if good else 400, "token-of-the-session")

            def do_GET(self):
                base = "/latest/meta-data/iam/security-credentials/"
                if self.path == "/container":
                    good = self.headers.get("Authorization") == "let me in"
                    content = {**outer.credentials(), "AccessKeyId": "container"}
                    return self.say(200 if good else 403, json.dumps(content) if good else "")
                if self.headers.get("X-aws-ec2-metadata-token") != "token-of-the-session":
                    return self.say(401, "")
                if self.path == base:
                    return self.say(200, ROLE)
                good = self.path == base + ROLE.replace(" ", "%20")
                self.say(200 if good else 404, json.dumps({"Code": "Success", **outer.credentials()}) if good else "")

            def say(self, status, text):
                outer.asked.append((self.command, self.path, status))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def credentials(self):
        return {"AccessKeyId": "machine", "SecretAccessKey": "s", "Token": "t", "Expiration": in_a_while(self.lasts)}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class CredentialsCase(S3Case):
    """The server takes whatever key and session token the front lets through."""

    def setUp(self):
        super().setUp()
        self.front = self.enterContext(S3Front(self.server))
        self.front.secret = "s"
        self.through(self.front)
        self.right = {name: self.env.pop(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self.metadata = Metadata()
        self.addCleanup(self.metadata.close)
        self.env |= {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.endpoint}
        self.aws = pathlib.Path(self.env["HOME"]) / ".aws"
        self.aws.mkdir()

    def program(self, name, script):
        path = self.tmp / name
        path.write_text(f"#!{sys.executable} -SE\n{script}\n")
        path.chmod(0o700)
        return path

    def printer(self, name, **content):
        """A program that prints that, and a key."""
        return self.program(name, f"print({json.dumps({'AccessKeyId': 'program', 'SecretAccessKey': 's', **content})!r})")

    def used(self):
        """The key and the session token that poster signs with; None: it finds none."""

        def before(request):
            self.seen = [request.scope()[0], request.headers.get("x-amz-security-token")]
            return error(403, "AccessDenied", "seen")

        self.seen, self.front.before = None, before
        self.poster("sync", "--retry-failed", check=1)
        return self.seen

    def grant(self, *refused_tokens):
        """From now on the server takes any key but with these session tokens, which have expired."""

        def before(request):
            if request.headers.get("x-amz-security-token") in refused_tokens:
                return error(400, "ExpiredToken", "The provided token has expired.")
            request.drop("x-amz-security-token")
            request.sign_as(self.right["AWS_ACCESS_KEY_ID"], self.right["AWS_SECRET_ACCESS_KEY"])

        self.front.before = before


@needs_venv
class WhoseCredentials(CredentialsCase):
    def assert_as_botocore(self, expected, env=(), credentials="", config=""):
        (self.aws / "credentials").write_text(credentials)
        (self.aws / "config").write_text(config)
        self.env |= dict(env)
        used = self.used()
        aws = {name: value for name, value in self.env.items() if name.startswith("AWS_") or name in ("HOME", "PATH", "NO_PROXY")}
        self.assertEqual(self.boto3(BOTOCORE, env=aws), used)
        self.assertEqual(used, expected)
        for name in dict(env):
            del self.env[name]

    def assert_all_as_botocore(self, cases, **more):
        for name, (expected, env, credentials, config) in cases.items():
            with self.subTest(name):
                self.assert_as_botocore(expected, {**env, **more}, credentials, config)

    def test_the_order_of_places_is_that_of_botocore(self):
        self.make_run("a")
        env = {"AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "s"}
        default, lab, config = profile("default"), profile("lab", name="lab"), profile("config")
        (self.tmp / "other").write_text(profile("other"))
        other = str(self.tmp / "other")
        cases = {
            "nothing": (None, {}, "", ""),
            "the environment": (["env", None], env, "", ""),
            "its session": (["env", "t"], {**env, "AWS_SESSION_TOKEN": "t"}, "", ""),
            "before a profile that is named": (["env", None], {**env, "AWS_PROFILE": "lab"}, lab, ""),
            "a key of the environment without its secret": (None, {"AWS_ACCESS_KEY_ID": "env"}, default, ""),
            "the default profile": (["default", None], {}, default, config),
            "with a session": (["default", "t"], {}, default + "aws_session_token=t\n", ""),
            "another profile": (["lab", None], {"AWS_PROFILE": "lab"}, default + lab, ""),
            "one with a space": (["lab", None], {"AWS_PROFILE": "my lab"}, "", profile("lab", name='profile "my lab"')),
            "one that is nowhere": (None, {"AWS_PROFILE": "typo"}, default, ""),
            "the config": (["config", None], {}, "", config),
            "a key without its secret": (None, {}, "[default]\naws_access_key_id = a\n", ""),
            "nor with one of another file": (
                None,
                {},
                "[default]\naws_access_key_id = a\n",
                "[default]\naws_secret_access_key=s\n",
            ),
            "no token of another file": (["default", None], {}, default, "[default]\naws_session_token = t\n"),
            "other files": (["other", None], {"AWS_SHARED_CREDENTIALS_FILE": other}, default, ""),
            "another config": (["other", None], {"AWS_CONFIG_FILE": other}, "", config),
        }
        self.assert_all_as_botocore(cases, AWS_EC2_METADATA_DISABLED="true")  # botocore would ask unasked

    def test_programs_are_run_as_botocore_does(self):
        self.make_run("a")
        program = self.printer("program", Version=1)
        with_token = self.printer("with token", Version=1, SessionToken="t")
        newer = self.printer("newer", Version=2)
        by = "[default]\ncredential_process = "
        cases = {
            "a program": (["program", None], {}, "", f"{by}{program}\n"),
            "of a path with a space": (["program", "t"], {}, "", f'{by}"{with_token}" --option\n'),
            "before the keys beside it": (["program", None], {}, "", f"{profile('a')}credential_process = {program}\n"),
            "after ~/.aws/credentials": (["default", None], {}, profile("default"), f"{by}{program}\n"),
            "of another version": (None, {}, "", f"{by}{newer}\n"),
            "that fails": (None, {}, "", f"{by}false\n"),
        }
        self.assert_all_as_botocore(cases, AWS_EC2_METADATA_DISABLED="true")

    def test_services_are_asked_as_botocore_does(self):
        self.make_run("a")
        uri, token = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
        (self.tmp / "token").write_text("let me in")
        container = {uri: f"{self.metadata.endpoint}/container", token: "let me in"}
        cases = {
            "the machine": (["machine", "t"], {}, "", ""),
            "that is not to be asked": (None, {"AWS_EC2_METADATA_DISABLED": "TRUE"}, "", ""),
            "the container first": (["container", "t"], container, "", ""),
            "by a token in a file": (
                ["container", "t"], {**container, token: "no", f"{token}_FILE": str(self.tmp / "token")}, "", "",
            ),
            "never another host": (None, {**container, uri: "http://example.org/container"}, "", ""),
            "after the profiles": (["default", None], container, profile("default"), ""),
        }  # fmt: skip
        self.assert_all_as_botocore(cases, POSTER_S3_METADATA="true")

    def test_a_machine_is_not_asked_unless_that_is_wanted(self):
        self.make_run("a")
        self.assertIn(b"metadata = true", self.sync(check=1).stdout)
        self.assertEqual(self.metadata.asked, [])

    def test_what_is_left_to_aws_own_tools_is_said(self):
        self.make_run("a")
        for config in (
            profile("base", name="profile lab") + "role_arn = arn:aws:iam::1:role/lab\nsource_profile = lab\n",
            "[profile lab]\nsso_session = lab\n[sso-session lab]\nsso_start_url = https://example.org\n",
        ):
            (self.aws / "config").write_text(config)
            self.env |= {"AWS_PROFILE": "lab"}
            said = self.sync("--retry-failed", check=1).stdout.decode()
            self.assertIn("aws configure export-credentials --profile lab", said)
        self.assertEqual(self.front.requests, [])


@needs_venv
class Renewed(CredentialsCase):
    def test_a_session_that_ends_in_the_middle_is_followed_by_the_next(self):
        counter = self.tmp / "counter"
        script = f"""
import json, pathlib
counter = pathlib.Path({str(counter)!r})
number = len(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text("x" * number)
print(json.dumps({{"Version": 1, "AccessKeyId": "key", "SecretAccessKey": "s", "SessionToken": f"session {{number}}"}}))
"""
        program = self.program("program", script)
        (self.aws / "config").write_text(f"[default]\ncredential_process = {program}\n")
        run = self.make_run(*"abcdefgh")
        self.grant()
        granted = self.front.before

        def before(request):
            if len(self.front.requests) > 5:
                self.grant("session 1")
            return granted(request) if len(self.front.requests) <= 5 else self.front.before(request)

        self.front.before = before
        self.sync("--jobs", "3")
        self.assert_arrived(run)
        self.assertEqual(counter.read_text(), "xx")

    def test_a_session_in_a_file_that_was_replaced_meanwhile_is_taken_from_there(self):
        of_session = lambda token: f"{profile('k')}aws_session_token = {token}\n"
        (self.aws / "credentials").write_text(of_session("old"))
        run = self.make_run(*"abcd")
        self.grant()
        granted = self.front.before

        def before(request):
            if len(self.front.requests) == 3:
                (self.aws / "credentials").write_text(of_session("new"))
                self.grant("old")
                return self.front.before(request)
            return granted(request)

        self.front.before = before
        self.sync("--jobs", "1")
        self.assert_arrived(run)

    def test_one_that_is_over_for_good_is_for_the_user_to_mend(self):
        self.make_run("a")
        self.env |= {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "old"}
        self.grant("old")
        self.assertIn(b"get new credentials", self.sync("--jobs", "1", check=1).stdout)
        self.assertEqual([request.method for request in self.front.requests], ["GET", "PUT"])  # the manifest; a file

    def test_the_machine_is_asked_again_before_the_end_of_a_session_and_not_each_time(self):
        self.env |= {"POSTER_S3_METADATA": "true"}
        self.metadata.lasts = 60
        run = self.make_run(*"abcdefgh")
        self.grant()
        self.sync()
        self.assert_arrived(run)
        self.assertEqual([status for _, _, status in self.metadata.asked], [200] * 3)

    def test_the_services_of_the_machine_are_not_asked_by_a_proxy(self):
        self.env |= {"POSTER_S3_METADATA": "true", "http_proxy": self.front.endpoint, "NO_PROXY": "", "no_proxy": ""}
        run = self.make_run("a")
        self.grant()
        self.sync()
        self.assert_arrived(run)
        self.assertEqual([request for request in self.front.requests if "/latest/" in request.path], [])


if __name__ == "__main__":
    main()
