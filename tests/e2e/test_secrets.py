"""No secret ever comes to the disk; the child still gets it. Harmless look-alikes stay readable."""

import json
import shutil

from harness import PosterTest, main, poster_only

SECRETS = {  # what would leak: how it is passed
    "hunter2-variable": {"env": {"MY_API_KEY": "hunter2-variable"}},
    "hunter2-token": {"env": {"HF_TOKEN": "hunter2-token"}},
    "hunter2-password": {"env": {"DB_PASSWORD": "hunter2-password"}},
    "hunter2-credential": {"env": {"AWS_CREDENTIALS": "hunter2-credential"}},
    "hunter2-auth": {"env": {"HTTP_AUTH": "hunter2-auth"}},
    "hunter2-url": {"env": {"DATABASE_URL": "postgres://user:hunter2-url@db.example/x"}},
    "hunter2-option": {"argv": ["--api-key", "hunter2-option"]},
    "hunter2-equals": {"argv": ["--password=hunter2-equals"]},
    "hunter2-hydra": {"argv": ["++wandb.api_key=hunter2-hydra"]},
    "hunter2-argument-url": {"argv": ["https://me:hunter2-argument-url@example.org/data.git"]},
    "hunter2-env-option": {"options": ["--env", "OTHER_SECRET=hunter2-env-option"]},
    "ghp_" + "a1B2c3D4e5F6" * 3: {"argv": ["ghp_" + "a1B2c3D4e5F6" * 3]},
    "sk-proj-" + "Zx9" * 16: {"argv": ["--data", "sk-proj-" + "Zx9" * 16]},
    "AKIAIOSFODNN7EXAMPLE": {"env": {"SOMETHING": "AKIAIOSFODNN7EXAMPLE"}},
    "MIIEvQIBADANBgkqhunter2": {
        "env": {"CERT": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhunter2\n-----END PRIVATE KEY-----\n"}
    },
}
HARMLESS = [
    "--max-tokens",
    "512",
    "tokenizer=bert",
    "use_cls_token=true",
    "sort_key=loss",
    "--keyboard=qwerty",
    "author=me",
    "--passes=3",
    "lr=0.1",
]


@poster_only
class Secrets(PosterTest):
    def setUp(self):
        super().setUp()
        self.arguments, self.options, self.secret_env = [], [], {}
        for how in SECRETS.values():
            self.arguments += how.get("argv", [])
            self.options += how.get("options", [])
            self.secret_env |= how.get("env", {})

    def files_with(self, secret):
        return [
            str(path.relative_to(self.tmp))
            for path in self.tmp.rglob("*")
            if path.is_file() and secret.encode() in path.read_bytes()
        ]

    def run_with_secrets(self, *argv, **options):
        return self.launch(
            *argv,
            *self.arguments,
            *HARMLESS,
            options=[*self.options, *options.pop("options", [])],
            env={**self.env, **self.secret_env},
            **options
        )

    def assert_no_secret_on_disk(self):
        for secret in SECRETS:
            with self.subTest(secret=secret):
                self.assertEqual(self.files_with(secret), [])

    def test_no_secret_is_stored_anywhere(self):
        self.assertEqual(self.run_with_secrets("true").returncode, 0)
        self.poster("ls", check=0)
        self.poster("show", "last", check=0)
        self.assert_no_secret_on_disk()
        self.assertIn("<redacted>", json.dumps(self.run_json()))

    def test_no_secret_is_stored_when_poster_logs_verbosely(self):
        self.run_with_secrets("true", options=["-v"], quiet=False)
        self.assert_no_secret_on_disk()

    def test_no_secret_is_stored_when_the_command_is_not_found(self):
        self.run_with_secrets("no-such-command-here")
        self.assert_no_secret_on_disk()

    def test_no_secret_is_printed_by_poster(self):
        done = self.run_with_secrets("true", options=["-v"], quiet=False)
        printed = (
            done.stderr + self.poster("show", "last", check=0).stdout + self.poster("ls", "--json", check=0).stdout
        )
        printed += self.launch("true", *self.arguments, options=[*self.options, "--dry-run"], quiet=False).stdout
        for secret in SECRETS:
            with self.subTest(secret=secret):
                self.assertNotIn(secret.encode(), printed)

    def test_the_child_receives_every_secret(self):
        code = "printf '%s\\n' \"$@\"; printenv MY_API_KEY HF_TOKEN DB_PASSWORD DATABASE_URL OTHER_SECRET SOMETHING"
        done = self.run_with_secrets("sh", "-c", code + " >&2", "sh")
        received = done.stdout + done.stderr
        for secret, how in SECRETS.items():
            if "argv" in how or "OTHER_SECRET" in str(how):
                with self.subTest(secret=secret):
                    self.assertIn(secret.encode(), received)

    def test_harmless_look_alikes_stay_readable(self):
        self.launch("true", *HARMLESS, env={**self.env, "TOKENIZERS_PARALLELISM": "false", "KEYBOARD": "de"})
        run = self.run_json()
        self.assertEqual(run["argv"], ["true", *HARMLESS])
        self.assertEqual(
            (run["environment"]["TOKENIZERS_PARALLELISM"], run["environment"]["KEYBOARD"]), ("false", "de")
        )

    def test_settings_extend_what_is_redacted_and_what_is_kept(self):
        (self.cwd / "poster.toml").write_text('[capture]\nredact = ["lab_*"]\nkeep = ["PUBLIC_KEY"]\n')
        self.launch("true", env={**self.env, "LAB_ROOM": "hunter2-lab", "PUBLIC_KEY": "may-be-seen"})
        environment = self.run_json()["environment"]
        self.assertEqual((environment["LAB_ROOM"], environment["PUBLIC_KEY"]), ("<redacted>", "may-be-seen"))
        self.assertEqual(self.files_with("hunter2-lab"), [])

    def test_the_credentials_of_a_git_remote_are_not_stored(self):
        if not shutil.which("git"):
            self.skipTest("git is not installed")
        repository = self.tmp / "repository"
        self.git("init", "-q", repository)
        self.git("remote", "add", "origin", "https://me:hunter2-remote@example.org/x.git", cwd=repository)
        self.launch("true", cwd=repository)
        self.assertEqual(
            [path for path in self.files_with("hunter2-remote") if not path.startswith("repository/.git/")], []
        )
        self.assertIn("example.org/x.git", json.dumps(self.run_json()))


if __name__ == "__main__":
    main()
