"""The Python client redacts by the binary's rules."""

import json
import random
import re

from client_case import ClientTest
from harness import HERE, main, poster_only


@poster_only
class Secrets(ClientTest):
    """The client's rules and those of the binary are the same: both judge the same names and values."""

    NAME_LISTS = (HERE.parent.parent / "src" / "run" / "secret_names.cpp").read_text()
    VALUES = "hunter2hunter loss 12 123456 1e-5 ./a/b /etc/x/y /a+b/c [PAD] <x> basic Bearer $HOME ${a.b} ${a}b true None passw0rd secret"

    def names(self, count):
        """Made of the words of the rules themselves and of others, in every spelling."""
        pick = random.Random(5)
        vocabulary = sorted(set(re.findall(r'"([a-z]{1,15})"', self.NAME_LISTS)))
        telling = ["key", "keys", "token", "tokens", "auth", "pass", "pat", "password", "secret", "pwd"]
        for _ in range(count):
            words = pick.choices(vocabulary + ["lr", "mixer", "id", "foo"], k=pick.randint(0, 3))
            words.insert(pick.randint(0, len(words)), pick.choice(telling + vocabulary))
            words[-1] += pick.choice(["", "", "", "2", "10"])
            style = pick.randrange(6)
            if style == 0:
                yield "".join(word.capitalize() for word in words)
            elif style == 1:
                yield words[0] + "".join(pick.choice([word.capitalize(), word.upper()]) for word in words[1:])
            elif style == 2:
                yield "_".join(words).upper()
            else:
                yield "".join(word + pick.choice(["_", "_", "-", ".", "/", ":", "@", ""]) for word in words).rstrip(
                    "-._/:@"
                )

    def of_binary(self, pairs):
        """What a run's record makes of the arguments NAME=VALUE."""
        self.fresh_store()
        self.launch("true", *[f"{name}={value}" for name, value in pairs])
        return self.run_json()["argv"][1:]

    def of_client(self, pairs):
        (self.cwd / "pairs.json").write_text(json.dumps(pairs))
        code = "import json\nfor n, v in json.load(open('pairs.json')): print(n + '=' + poster._redacted(n, v))"
        return self.call(code).stdout.splitlines()

    def compare(self, pairs):
        binary, client = self.of_binary(pairs), self.of_client(pairs)
        self.assertEqual((len(binary), len(client)), (len(pairs), len(pairs)))
        differing = [each for each in zip(pairs, binary, client) if each[1] != each[2]]
        self.assertEqual(differing, [])

    def test_names_are_judged_as_by_the_binary(self):
        pick = random.Random(7)
        names = sorted(set(self.names(6000)) | {"PWD", "OLDPWD", "pwd", "key", "token", "sort.key", "+wandb.api_key"})
        pairs = [(name, pick.choice(self.VALUES.split())) for name in names]
        self.compare(pairs)
        redacted = sum("<redacted>" in line for line in self.of_client(pairs))
        self.assertTrue(0.1 * len(pairs) < redacted < 0.9 * len(pairs), redacted)

    def test_values_that_look_secret_are_left_out_as_by_the_binary(self):
        body = "aB3dE6gH1jK4mN7pQ9sT2vW5yZ8" * 4
        prefixes = re.findall(
            r'{"([^"]+)", Body::', (HERE.parent.parent / "src" / "run" / "secret_shapes.cpp").read_text()
        )
        self.assertGreater(len(prefixes), 40)
        values = [
            prefix + end for prefix in prefixes for end in (body[:40], body[:40].upper(), body[:4], "abcdefgh" * 5)
        ]
        values += [f"before {prefix}{body[:40].upper()} after" for prefix in prefixes] + [
            f"x{prefix}{body[:40]}" for prefix in prefixes
        ]
        values += [
            "eyJ" + body[:20] + "." + body[:30] + "." + body[:20],
            "123456789:" + body[:35],
            "bot123456789:" + body[:35],
            "12:ab",
        ]
        values += [
            "https://ada:" + body[:9] + "@host/x",
            "https://ada@host/x",
            "https://hooks.slack.com/services/T0/B0/xyz",
        ]
        values += [
            "-----BEGIN RSA " + "PRIVATE KEY-----\nabc\n-----END RSA " + "PRIVATE KEY-----",
            "-----BEGIN CERTIFICATE-----",
        ]
        self.compare([("x", value.replace("\n", " ")) for value in values])

    def test_parameters_are_redacted_before_they_are_written(self):
        self.call("poster.log_config({'lr': .1, 'api_key': 'hunter2', 'db': {'password': 12345}, 'keys': ['a']})")
        self.call("poster.set_summary(url='https://ada:hunter2@host/')")
        (config,), (summary,) = self.lines("config"), self.lines("summary")
        values = {"lr": 0.1, "api_key": "<redacted>", "db": {"password": "<redacted>"}, "keys": ["a"]}
        self.assertEqual(config["values"], values)
        self.assertEqual(summary["values"], {"url": "https://ada:<redacted>@host/"})


if __name__ == "__main__":
    main()
