"""Writes what was captured: one line of JSON for each parse, in a single write. Imports nothing that costs."""

import os
import posix  # of which nobody replaces a function, as tests do with those of os
import sys

_NODES = 20000  # of one line: a parsed value can be a data set
_DEPTH = 12
_CUT = 200
_RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
# No name without one of these is a secret's; which of them are is for poster.py to say.
_SUSPECT = ("pass", "pwd", "secret", "cred", "bearer", "cookie", "jwt", "auth", "key", "token", "pat")
# Nor is a text without one of these.
_SHAPES = (
    "sk- sk_ rk_ whsec_ gh glpat hf_ AKIA ASIA ABIA ACCA xox xapp AIza ya29 npm_ pypi- dckr nvapi gsk_ r8_ xai- pplx"
    " hvs. dop_ shpat ATATT SG. AGE- wandb_v1 lin_api eyJ -----BEGIN hooks.slack discord @ :AA"
).split()
_ESCAPES = {number: "\\u%04x" % number for number in range(32)}
_ESCAPES.update({ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"})

REDACTED = "<redacted>"


def program():
    """What the user would call the program: the script's name, or the module's after -m."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None and spec.name:
        return spec.name[: -len(".__main__")] if spec.name.endswith(".__main__") else spec.name
    return os.path.basename(sys.argv[0]) if sys.argv else ""


def is_of_argv(args):
    """Whether these words are the program's own command line; None: the parser takes them from there."""
    return args is None or (isinstance(args, (list, tuple)) and list(args) == sys.argv[1:])


class Capture(object):
    """What the files of the frameworks report to."""

    def __init__(self, finder):
        self._finder = finder
        self.program = program
        self.is_of_argv = is_of_argv

    def file(self, name):
        return self._finder.file("poster-capture/" + name)

    def report(self, framework, values, command=None, **more):
        """Writes a capture event. Lists of words in `extra` and `overrides` are redacted word by word."""
        for words in ("extra", "overrides"):
            if words in more:
                more[words] = self.redacted_words(more[words])
        fields = {"framework": framework, "program": program(), "command": command or program(), "values": values}
        fields.update(more)
        self.write("capture", fields)

    def write(self, kind, fields):
        rank = next((os.environ[name] for name in _RANKS if os.environ.get(name, "").isdigit()), None)
        line = '{"kind":"%s","time":%.6f' % (kind, self._finder.clock())
        if rank is not None:
            line += ',"rank":%d' % int(rank)
        main = self._finder.main and posix.getpid() == self._finder.pid
        line += ',"pid":%d,"main":%s' % (posix.getpid(), "true" if main else "false")
        encoder = _Encoder(self)
        for name, value in fields.items():
            line += ",%s:%s" % (_text(name), encoder.value(value, "", 0))
        path = os.path.join(self._finder.folder, "%s.%d.jsonl" % (posix.uname().nodename, posix.getpid()))
        descriptor = posix.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            posix.write(descriptor, (line + "}\n").encode("utf-8", "replace"))
        finally:
            posix.close(descriptor)

    def redacted(self, name, value):
        """A text, or what may be recorded of it."""
        lowered = name.lower()
        if any(word in lowered for word in _SUSPECT) or (len(value) >= 12 and any(mark in value for mark in _SHAPES)):
            return self._finder.file("poster")["_redacted"](name, value)
        return value

    def redacted_words(self, words):
        """`--api-key X`, `--api-key=X`, `api_key=X`, `+db.password=X`."""
        redacted, option = [], None
        for word in words:
            if not isinstance(word, str):
                word = str(word)
            name, equals, value = word.partition("=")
            bare = name.lstrip("-+~")
            if equals:
                word = name + "=" + self.redacted(bare, value)
            else:
                word = self.redacted(option or "", word)
            redacted.append(word)
            option = bare if word.startswith("-") and not equals else None
        return redacted


def _text(text):
    if not text.isprintable() or '"' in text or "\\" in text:
        text = text.translate(_ESCAPES)
        text = text.encode("utf-8", "surrogateescape" if _is_escaped(text) else "replace").decode("utf-8", "replace")
    return '"' + text + '"'


def _is_escaped(text):
    """Whether its only surrogates are the bytes of a command line that was not UTF-8."""
    return not any("\ud800" <= c <= "\udbff" or "\udd00" <= c <= "\udfff" or "\udc00" <= c < "\udc80" for c in text)


def _number(value):
    if value != value:
        return '"NaN"'
    if value in (float("inf"), float("-inf")):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    return float.__repr__(value)


class _Encoder(object):
    """Python values to JSON, by their dotted names where a secret may hide."""

    def __init__(self, capture):
        self._capture = capture
        self._left = _NODES

    def value(self, value, name, depth):
        self._left -= 1
        if value is None:
            return "null"
        if value is True or value is False:
            return "true" if value else "false"
        if isinstance(value, str):
            return self._string(value if type(value) is str else str.__str__(value), value, name)
        if self._is_enum(value):
            return _text(str(value.name))
        if isinstance(value, int):
            return self._word(int.__repr__(value), name)
        if isinstance(value, float):
            return self._word(_number(value), name)
        if depth >= _DEPTH or self._left <= 0:
            return _text(self._described(value))
        return self._compound(value, name, depth + 1)

    def _string(self, text, value, name):
        if self._is_enum(value):
            return _text(str(value.name))
        return _text(self._capture.redacted(name, text))

    def _word(self, word, name):
        return _text(REDACTED) if self._capture.redacted(name, word) == REDACTED else word

    def _compound(self, value, name, depth):
        if isinstance(value, dict):
            return self._object(value.items(), name, depth)
        if isinstance(value, (list, tuple)):
            if hasattr(value, "_fields"):  # a named tuple
                return self._object(zip(value._fields, value), name, depth)
            return self._list(value, name, depth)
        if isinstance(value, (set, frozenset)):
            return self._set(value, name, depth)
        fields = None if isinstance(value, type) else _fields(value)
        if fields is not None:
            return self._object(fields, name, depth)
        scalar = _scalar(value)
        if scalar is not value:
            return self.value(scalar, name, depth)
        return self._string(self._described(value), None, name)

    def _list(self, values, name, depth):
        return "[" + ",".join([self.value(value, name, depth) for value in values]) + "]"

    def _set(self, values, name, depth):
        try:
            return self._list(sorted(values), name, depth)
        except TypeError:
            return "[" + ",".join(sorted(self.value(value, name, depth) for value in values)) + "]"

    def _object(self, items, name, depth):
        parts = []
        for key, value in items:
            key = str(key.name) if self._is_enum(key) else str(key)
            inner = name + "." + key if name else key
            parts.append(_text(key) + ":" + self.value(value, inner, depth))
        return "{" + ",".join(parts) + "}"

    def _is_enum(self, value):
        enum = sys.modules.get("enum")
        return enum is not None and isinstance(value, enum.Enum)

    def _described(self, value):
        if isinstance(value, type) or type(value).__name__ in ("function", "builtin_function_or_method"):
            return "%s.%s" % (value.__module__, value.__qualname__)
        try:
            return repr(value)[:_CUT]
        except Exception:
            return "<%s>" % type(value).__name__


def _fields(value):
    """The names and values of what is a record of some kind; None where it is not."""
    kind = type(value)
    for attribute in ("__dataclass_fields__", "__attrs_attrs__"):
        fields = getattr(kind, attribute, None)
        if fields is not None:
            names = fields if isinstance(fields, dict) else [field.name for field in fields]
            return [(name, getattr(value, name)) for name in names if hasattr(value, name)]
    if isinstance(getattr(kind, "model_fields", None) or getattr(kind, "__fields__", None), dict):  # pydantic
        return list(vars(value).items())
    if kind.__name__ in ("Namespace", "SimpleNamespace"):
        return list(vars(value).items())
    return None


def _scalar(value):
    """A plain value that says the same, or `value` itself."""
    if hasattr(type(value), "__fspath__"):
        return os.fspath(value)
    module = type(value).__module__ or ""
    if module in ("datetime", "decimal", "uuid", "fractions"):
        return str(value)
    if module.partition(".")[0] == "numpy" and hasattr(value, "tolist") and getattr(value, "size", 1) <= 1000:
        return value.tolist()
    if module.startswith("omegaconf"):
        return _plain(value)
    return value


def _plain(value):
    try:
        from omegaconf import OmegaConf

        return OmegaConf.to_container(value, resolve=False)
    except Exception:
        return repr(value)
