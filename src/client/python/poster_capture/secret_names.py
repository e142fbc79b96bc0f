"""Which names are those of secrets: the rule of src/run/secret_names.cpp, word for word. A test compares the two."""

STRONG = frozenset(
    """
    password passwords passwd passphrase passcode secret secrets credential credentials creds cred bearer cookie
    cookies jwt authorization apikey apikeys accesskey privatekey secretkey sessionkey authkey authtoken accesstoken
    apitoken sessiontoken pwd
    """.split()
)
STRONG_ENDINGS = tuple(
    """
    password passwd passphrase apikey accesskey secretkey privatekey authtoken accesstoken apitoken authkey
    sessionkey sessiontoken hftoken githubtoken bottoken clientsecret refreshtoken bearertoken
    """.split()
)
VOUCHING = frozenset(
    """
    api access secret private auth oauth bearer refresh session signing encryption master deploy service client
    consumer account license subscription ssh webhook security personal ci push registry github gitlab gh hf
    huggingface openai anthropic wandb aws azure gcp google slack telegram discord vault npm pypi comet neptune
    cohere gemini csrf
    """.split()
)
VOUCHING_PLURAL = frozenset(
    """
    api access secret private auth oauth bearer refresh session
    """.split()
)
ABOUT = frozenset(
    """
    file files filename path paths dir directory folder location name names method methods type types mode helper
    provider policy length len size timeout ttl expiry expires expiration lifetime env var field column version
    count min max required enabled enable disabled stdin prompt sock socket backend scheme strategy class plugin url
    uri host hostname port realm domain server endpoint interval rotation cache store manager user username format
    algorithm alg strength limit limits budget jar agent info dim dims index ring group
    """.split()
)
HARMLESS_NEAR = frozenset(
    """
    max min num n total sort sorted cls pad padding eos bos mask masked sep unk unknown special per dim dims size
    len length count counts ids index indices idx type types primary foreign monitor metric metrics group groupby
    public pub order orderby dict column col field budget limit pos position image images img new vision visual
    audio video prefix suffix class begin eot eod eom im decoder encoder byte bytes sub subword word char prompt
    learnable distill distillation latent summary separator blank fim skip drop dropout keep patch src tgt forced
    suppress ignore multi loss reward think thinking label labels join partition lookup merge compare cmp rng prng
    seed heads embed embedding embeddings attn attention kv early checkpoint ckpt plot hot arrow press shortcut avg
    mean std sum ratio rate levels steps ctx completion generated generate trainable fill
    """.split()
)
HARMLESS_IN_CONFIG = frozenset(
    """
    test data config source target targets global local cache node object bucket item state instance register input
    inputs output outputs text value values hash random single train val eval result head memory start end stop next
    prev previous first last best param params row block step level x y dist score context feature features dataset
    batch extra filter query
    """.split()
)
CARRIES_AUTH = frozenset(
    """
    header headers string data code hash config json basic
    """.split()
)
PASS_OWNERS = frozenset(
    """
    db smtp mysql pg postgres redis mail email ftp ssh sudo http proxy root admin login key mongo docker imap ldap
    user database rabbitmq vpn wifi
    """.split()
)
METHODS = frozenset(
    """
    basic digest ntlm token oauth oauth2 bearer kerberos gssapi md5 password browser iam ldap mtls anonymous
    """.split()
)
NEVER_SECRET = ("", "true", "false", "none", "null", "yes", "no", "on", "off", "<redacted>")

HARMLESS, LIKELY, SECRET = range(3)


def is_secret(name, value):
    verdict = judge(name)
    if verdict == HARMLESS or value.lower() in NEVER_SECRET or is_reference(value):
        return False
    return verdict == SECRET or not looks_harmless(name, value)


def judge(text):
    name = Name(text)
    worst = max([judge_word(name, at, text) for at in range(len(name.words))] or [HARMLESS])
    if worst == SECRET or not name.words or name.words[-1] in ABOUT:
        return worst
    for chunk in name.chunks:
        if (chunk.endswith(STRONG_ENDINGS) or chunk in STRONG) and text != "PWD":
            worst = SECRET
    return worst


class Name(object):
    """The words of a name in lower case without trailing digits, and which dotted part each stands in."""

    def __init__(self, text):
        self.words, self.parts, self.chunks = [], [], []
        part = at = 0
        while at < len(text):
            end = at
            while end < len(text) and is_alphanumeric(text[end]):
                end += 1
            if end > at:
                self._add_camel_words(text[at:end], part)
                self.chunks.append(lowered(text[at:end]))
            if end < len(text) and text[end] in "./:@":
                part += 1
            at = end + 1
        last = text[max(text.rfind(c) for c in "./:@") + 1 :]
        self.shouting = any(map(is_upper, last)) and not any(map(is_lower, last))

    def _add_camel_words(self, chunk, part):
        begin = 0
        for i in range(1, len(chunk)):
            rises = not is_upper(chunk[i - 1]) and is_upper(chunk[i])
            acronym_ends = is_upper(chunk[i - 1]) and is_upper(chunk[i]) and is_lower(chunk[i + 1 : i + 2])
            if rises or acronym_ends:
                self._add_word(chunk[begin:i], part)
                begin = i
        self._add_word(chunk[begin:], part)

    def _add_word(self, word, part):
        self.words.append(lowered(word[:1] + word[1:].rstrip("0123456789")))
        self.parts.append(part)


def is_upper(c):
    return "A" <= c <= "Z"


def is_lower(c):
    return "a" <= c <= "z"


def is_digit(c):
    return "0" <= c <= "9"


def is_alphanumeric(c):
    return is_upper(c) or is_lower(c) or is_digit(c)


def lowered(text):
    return "".join(c.lower() if is_upper(c) else c for c in text)


def judge_word(name, at, text):
    word = name.words[at]
    last = at + 1 == len(name.words)
    if word in STRONG:
        if word == "pwd" and text in ("PWD", "OLDPWD"):
            return HARMLESS
        return HARMLESS if not last and name.words[-1] in ABOUT else SECRET
    if word in ("key", "keys", "token", "tokens"):
        return judge_key(name, at)
    if word == "auth":
        return LIKELY if last else SECRET if name.words[at + 1] in CARRIES_AUTH else HARMLESS
    if word == "pass":
        return judge_pass(name, at)
    if word == "pat" and at > 0 and name.words[at - 1] in VOUCHING:
        return SECRET
    return HARMLESS


def judge_key(name, at):
    plural = name.words[at].endswith("s")
    last = at + 1 == len(name.words)
    if not last and name.words[-1] in ABOUT:
        return HARMLESS
    if at > 0 and name.words[at - 1] in (VOUCHING_PLURAL if plural else VOUCHING):
        counted = name.words[0] in ("max", "num", "n", "min") and name.parts[0] == name.parts[at]
        return HARMLESS if counted else SECRET
    if plural or harmless_neighbour(name, at):
        return HARMLESS
    if last:
        return LIKELY
    return LIKELY if name.shouting and name.words[at + 1] != "id" else HARMLESS


def judge_pass(name, at):
    if at + 1 != len(name.words):
        return HARMLESS
    if at > 0 and name.words[at - 1] in PASS_OWNERS:
        return SECRET
    return LIKELY if name.shouting or len(name.words) == 1 else HARMLESS


def harmless_neighbour(name, at):
    for i, word in enumerate(name.words):
        harmless = word in HARMLESS_NEAR or (not name.shouting and word in HARMLESS_IN_CONFIG)
        if i == at or not harmless:
            continue
        parent = i + 1 == at and at + 1 == len(name.words)
        if name.parts[i] == name.parts[at] or parent:
            return True
    return False


def is_reference(value):
    if len(value) < 2 or value[0] != "$":
        return False
    if value[1] == "{":
        return value[-1] == "}" and value.find("}") == len(value) - 1
    return all(is_upper(c) or is_digit(c) or c == "_" for c in value[1:])


def looks_harmless(name, value):
    if is_small_number(value) or is_path(value):
        return True
    if len(value) > 2 and ((value[0] == "<" and value[-1] == ">") or (value[0] == "[" and value[-1] == "]")):
        return True
    if lowered(name).endswith("auth") and lowered(value) in METHODS:
        return True
    is_column = name == "key" and len(value) <= 8 and all(map(is_lower, value))
    return is_column and "secret" not in value and "pass" not in value


def is_small_number(value):
    digits = sum(map(is_digit, value))
    return 0 < digits <= 5 and all(is_digit(c) or c in ".,+-eE" for c in value)


def is_path(value):
    if value.startswith(("./", "../", "~/")):
        return True
    return value.startswith("/") and "/" in value[1:] and "+" not in value and "=" not in value
