"""Poster's own readings of Fire's values, Hydra's overrides and its YAML, each compared with the real parser."""

import json
import os
import random
import re
import subprocess

from harness import BUILD, CHILDREN, VENV_PYTHON, PosterTest, main, needs_venv, poster_only

GRAMMAR = os.path.abspath(os.environ.get("POSTER_GRAMMAR", BUILD / "tests" / "poster-grammar"))
SEED = os.environ.get("POSTER_SEED", "1")

FIRE_WORDS = """1e5 0x1F 0b11 0o17 1_000 +3 - 1. .5 1e400 00 010 09.5 1__0 0x_1F 0x 1a 1.2.3 1e 1e+ 3j 1_0.0_1e1_0 --3 -True +.5e-3
True False None true null nan inf ... .... 'a' "a" 'it"s' "it's" b'x' rb'\\x' r'\\n' u'a' f'a' '\\n' '\\x41' '\\u00e9' '\\N{DASH}'
a-b a.b a:b lr=3 1+2 1/2 1<2 not if lambda x*2 *a a,b a, ,a 1,2 (1) (1,) () [] {} [1,a] [1,a-b] [1,a.b] [[1,2],[3]] {a:1} {a} {1:2,}
{a:1,b:[2,c]} {'k':1} {1:a} {None:1} {True:1} {(1,2):3} {1.0:1} {1e22:1} {1e-7:1} {2,1} {b,a} {1,1} [1+2j] [1-2j] (1+2j) [-3j] 1+2j,2
[1,] [,] [1,,2] [1 [1] 2] {1:} {:1} (a b) #x 'a b "abc \\ 12345678901234567890123 -9223372036854775808 -9223372036854775809
18446744073709551616 ~/data /tmp/x http://a.b/c?d=e s3://b/k a=b 50% $HOME ${x} a|b é [é] [→] 日本 [日本] 😀 [😀] @x !x a! print [if]
[not] [None,True,false] set() dict() [set()] x() __debug__ _ _a a_1 1_ _1 0_0 0b2 0o8 1j2 'a''b' 'a'b b'a''b' ''' ''''a'''' """.split(" ")


def random_literal(rng, depth=0):
    """A word that is often nearly a Python literal."""
    kind = rng.randrange(16 if depth < 3 else 9)
    blank = lambda: rng.choice(["", "", "", "", " ", "  ", "\t"])
    inner = lambda: random_literal(rng, depth + 1)
    if kind == 0:
        return str(rng.choice([0, 1, 7, 10, 255, 65536, 10**18, 10**20])) + rng.choice(["", "", "", "_0", "L", "j"])
    if kind == 1:
        return rng.choice(["+", "-", "- ", "--", "~", ""]) + str(rng.randrange(100)) + rng.choice(["", ".5", ".", "e3", "E-2"])
    if kind == 2:
        return repr(rng.uniform(-1e3, 1e3) * 10 ** rng.randrange(-20, 20))
    if kind == 3:
        return rng.choice(["True", "False", "None", "true", "nan", "if", "in", "is", "a", "abc", "a_b", "A1", "x.y", "a-b"])
    if kind == 4:
        text = "".join(rng.choice("ab\"' \\n\tü0x41{}[],:#") for _ in range(rng.randrange(6)))
        return rng.choice(["", "", "b", "r", "u", "rb", "f", "x"]) + rng.choice([repr(text), "'" + text + "'", '"' + text + '"'])
    if kind == 5:
        return "".join(rng.choice("abc019_.-+=:/,#'\"[](){} ") for _ in range(rng.randrange(1, 9)))
    if kind == 6:
        return hex(rng.randrange(10**6)) if rng.random() < 0.5 else bin(rng.randrange(64))
    if kind == 7:
        return inner() + blank() + rng.choice(["+", "-", "*", ":", "=", "#"]) + blank() + inner() if depth < 3 else "z"
    if kind == 8:
        return blank() + rng.choice(["x", "1", "'s'"]) + blank()
    brackets = rng.choice(["[]", "()", "{}", "{}", "  ", "[]"])
    elements = [inner() for _ in range(rng.randrange(4))]
    if brackets == "{}" and rng.random() < 0.7:
        elements = [inner() + blank() + ":" + blank() + element for element in elements]
    text = (blank() + "," + blank()).join(elements) + rng.choice(["", "", "", ",", "  # c"] if depth == 0 else ["", "", ","])
    return brackets[0].strip() + blank() + text + blank() + brackets[1].strip()


def nearly(a, b):
    """Equal, where an integer beyond 64 bits is a float."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(nearly(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(nearly, a, b))
    big = isinstance(b, int) and not isinstance(b, bool) and not -(2**63) <= b < 2**64
    return float(a) == float(b) if big and isinstance(a, float) else type(a) is type(b) and a == b


class Grammar(PosterTest):
    def lines(self, command, cases):
        text = "".join(json.dumps(case) + "\n" for case in cases)
        done = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
        self.assertEqual(len(answers), len(cases))
        return answers

    def ours(self, mode, cases):
        return self.lines([GRAMMAR, mode], cases)

    def theirs(self, mode, cases, *words):
        return self.lines([VENV_PYTHON, CHILDREN / "real_parsers.py", mode, *words], cases)


@poster_only
@needs_venv
class Fire(Grammar):
    def test_a_word_has_the_value_that_fire_gives_it(self):
        rng = random.Random(f"fire {SEED}")
        words = [" 7", "7 ", "", " ", "\n1", "1\n", "1\n2", "[1,\n2]", "- 3", "1 # c", "[1 # c\n]", "'a' 'b'", "1 if 2 else 3"]
        words += [word for word in FIRE_WORDS if word] + [random_literal(rng) for _ in range(4000)]
        wrong = [
            (word, mine, its)
            for word, mine, its in zip(words, self.ours("fire", words), self.theirs("fire", words))
            if not nearly(mine, its)
        ]
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(words)}")
        parsed = [word for word, its in zip(words, self.ours("fire", words)) if its != word]
        self.assertGreater(len(parsed), 1000, "most of the generated words are no literals")


CONFIG = """
defaults: [_self_, db: mysql, model@net: small]
lr: 0.1
seed: 1
name: null
tags: [a, b]
optim: {name: sgd, momentum: 0.9, nested: {eps: 1e-8}}
"""
GROUPS = {
    "db/mysql": "{driver: mysql, port: 3306}",
    "db/pg": "{driver: pg, port: 5432}",
    "model/small": "{width: 8}",
    "model/large": "{width: 64}",
    "extra/one": "{one: 1}",
    "extra/two": "{one: 2}",
}
VALUES = """1 2 0.5 1e-3 true null abc a-b_c 'a b' "x=y" [1,2] [a,b] {a:1} {a:{b:[1]}} /tmp/x a/b.c ${lr} ${seed}_x '' 'it\\'s' a\\,b x:y""".split(" ")
KEYS = "lr seed tags optim.name optim.momentum optim.nested.eps new name a.b.c new.x".split()


def random_override(rng):
    """Mostly one that Hydra accepts."""
    odd = rng.random() < 0.1
    if rng.random() < 0.3:
        group, names = rng.choice([("db", "mysql pg"), ("model@net", "small large"), ("extra", "one two"), ("db@second", "pg")])
        name = rng.choice(names.split())
        usual = [f"+{group}={name}"] if group in ("extra", "db@second") else [f"{group}={name}"] * 3 + [f"~{group}"]
        return rng.choice([f"{group}={name}", f"+{group}={name}", f"~{group}", f"~{group}={name}"] if odd else usual)
    key, value = rng.choice(KEYS), rng.choice(VALUES)
    usual = [f"++{key}={value}", f"+{key}={value}"] if key[0] in "na" else [f"{key}={value}"] * 3 + [f"++{key}={value}", f"~{key}"]
    return rng.choice([f"{key}={value}", f"+{key}={value}", f"~{key}", f"~{key}={value}"] if odd else usual)


def brings_back(older, extra):
    """A key that was removed and is set now: for poster it is set, for Hydra a choice that is removed stays away."""
    key = lambda word: re.split("=", word.lstrip("+~"))[0]
    removed = {key(word) for word in older if word.startswith("~")}
    return any(key(word) in removed for word in extra)


@poster_only
@needs_venv
class Overrides(Grammar):
    def odd_word(self, rng):
        letters = "ab_$-.@/:=+~ 01{}[]'\\"
        word = random_override(rng) if rng.random() < 0.5 else "".join(rng.choice("ab=") for _ in range(4))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(word) + 1)
            word = word[:at] + rng.choice(letters) + word[at + rng.randrange(2) :]
        return word

    def test_kind_and_key_of_an_override_are_those_that_hydra_reads(self):
        rng = random.Random(f"override {SEED}")
        words = """lr=1 +lr=1 ++lr=1 ~lr ~lr=1 lr= ~lr= =1 @a=1 db@=x db@p=x a.b@p.q=1 db/x=y db/x@p=y db/x.y=1 a.0=1 a.01=1 0=1
            0.a=1 a..b=1 .a=1 a.=1 $a=1 a-b=1 -a=1 +++a=1 ~+a +~a=1 a@b@c=1 a/=1 /a=1 a:b=1 a@b:c=1 a[0]=1 lr db @ ~ + ++ a==1 a=b=c
            hydra.run.dir='a=b' hydra/launcher=joblib hydra.job.num=1 a=1_0 x=[1,2] x={a:1} x=choice(1,2) x=range(1,3)""".split()
        words += ["a = 1", "a= 1", " a=1", "a=1 ", "a='x y'"] + [self.odd_word(rng) for _ in range(1500)]
        accepted = 0
        for word, mine, its in zip(words, self.ours("override", words), self.theirs("override", words)):
            if its is None:  # refused, if only for its value: that is Hydra's to say
                continue
            accepted += 1
            self.assertIsNotNone(mine, word)
            self.assertEqual([*mine[:3], mine[3] is not None], [*its, "=" in word], word)
        self.assertGreater(accepted, 300)

    def test_a_word_whose_key_hydra_refuses_is_no_override(self):
        keys = "a..b .a a. a@b@c a/ /a a:b a@b:c a[0] a.01 01 -a a+b a~b a/b.c a\\b 'a' é".split()
        words = [prefix + key + "=1" for key in keys for prefix in ("", "+", "++", "~")]
        self.assertEqual(self.theirs("override", words), [None] * len(words))
        self.assertEqual(self.ours("override", words), [None] * len(words))


@poster_only
@needs_venv
class Merge(Grammar):
    def setUp(self):
        super().setUp()
        conf = self.tmp / "conf"
        for name, text in {**GROUPS, "config": CONFIG}.items():
            path = conf / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.conf = conf

    def compose(self, cases):
        return self.theirs("compose", cases, self.conf)

    def test_merged_overrides_configure_as_the_older_and_then_the_new_ones(self):
        rng = random.Random(f"merge {SEED}")
        candidates = [[random_override(rng) for _ in range(rng.randrange(5))] for _ in range(400)]
        older = [words for words, config in zip(candidates, self.compose(candidates)) if config is not None]
        cases = [(words, [random_override(rng) for _ in range(rng.randrange(1, 3))]) for words in older]
        merged = self.ours("merge", [[["python", "t.py", *words], 2, extra] for words, extra in cases])
        self.assertTrue(all(words[:2] == ["python", "t.py"] for words in merged))
        expected, seen = self.compose([[*a, *b] for a, b in cases]), self.compose([words[2:] for words in merged])
        compared = 0
        for case, words, want, got in zip(cases, merged, expected, seen):
            if want is not None and not brings_back(*case):
                compared += 1
                self.assertEqual(got, want, (case, words[2:]))
        self.assertGreater(compared, 200)

    def test_an_override_takes_the_place_of_the_older_one(self):
        table = """lr=1 seed=2 | lr=3 | lr=3 seed=2
            +new=1 | new=2 | +new=2
            +new=1 | +new=2 | +new=2
            ++new=1 | new=2 | ++new=2
            ++new=1 | +new=2 | ++new=2
            new=1 | ++new=2 | ++new=2
            lr=1 | ~lr | ~lr
            +new=1 seed=1 | ~new | +new=1 seed=1 ~new
            +db@x=a seed=1 | ~db@x | seed=1
            a={b:1} | a={c:2} | a={b:1} a={c:2}
            ++new=1 | ~new | ++new=1 ~new
            ~lr seed=1 | lr=2 | lr=2 seed=1
            ~lr seed=1 | +lr=2 | ~lr seed=1 +lr=2
            lr=1 | ~lr=1 | ~lr
            lr=1 | ~lr=2 | lr=1 ~lr=2
            db=a | db@x=b | db=a db@x=b
            db@x=a | db@x=b | db@x=b
            hydra/launcher=a -m | lr=1,2 | hydra/launcher=a lr=1,2 -m
            -m lr=1 -cn c | seed=3 | -m lr=1 seed=3 -cn c
            -cn c | lr=1 | lr=1 -cn c
            lr=1 --config-name c | -cn d | lr=1 -cn d
            lr=1 --config-n=c | --config-name=d | lr=1 --config-name=d
            lr=1 | --multirun lr=1,2 | --multirun lr=1,2
            -m lr=1 | --multirun | --multirun lr=1
            lr=1 | -- lr=2 | lr=2
            -m -- lr=1 | lr=2 | -m -- lr=2
            -i all | lr=1 | lr=1 -i all
            tags=[1,2] | tags=[3,4] | tags=[3,4]
            tags=[a=b,c] name='x=y' | name='z=1' | tags=[a=b,c] name='z=1'"""
        for line in table.splitlines():
            older, extra, merged = (part.split() for part in line.split("|"))
            with self.subTest(line=line.strip()):
                self.assertEqual(self.ours("merge", [[["t.py", *older], 1, extra]]), [["t.py", *merged]])


@poster_only
@needs_venv
class Yaml(Grammar):
    def test_a_document_is_read_as_omegaconf_reads_it(self):
        rng = random.Random(f"yaml {SEED}")
        words = """1 -1 +1 0 1.5 -1.5e-3 1e5 1e-8 .5 5. .inf -.inf .nan true True TRUE false yes No on OFF null ~ Null nULL abc a.b 1.2.3
            'x' "y\\n" '1' "true" '' ${lr} ${a.b} ${oc.env:HOME} 1_000 12345678901234567890123 2024-01-01 a:b /x/y http://a/b 1e 1e+ -
            .e1 0.0 -0.0 1E5 +.inf""".split()
        words.remove("-")
        plain = [word for word in words if word[0] not in "$~" and ":" not in word]
        texts = [f"a: {word}\n" for word in words]
        texts += [f"a: [{', '.join(rng.choices(plain, k=3))}]\nb:\n  c: {rng.choice(words)}\n" for _ in range(300)]
        texts += ["a:\n- x\n- y: 1\n  z: [1, {k: v}]\nb: &x {p: 1}\nc: *x\n", "- lr=1\n- ~tags\n- ++a='b c'\n", "{}\n", "[]\n"]
        for text, mine, its in zip(texts, self.ours("yaml", texts), self.theirs("yaml", texts)):
            self.assertTrue(nearly(mine, its), (text, mine, its))


if __name__ == "__main__":
    main()
