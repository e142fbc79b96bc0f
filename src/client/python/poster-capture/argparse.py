"""argparse: what parse_args and parse_known_args came to.

No function of argparse is replaced. Its module gets a `hasattr` of its own, which parse_known_args calls with the
defaults and once more when all is parsed, to see whether words were left over. So nothing of ours is on the stack while
a type or an action of the program runs, and no traceback, signature or pickle shows it.
"""

import sys

PARSING = ("parse_known_args", "_parse_known_args2")
ENTRIES = PARSING + ("parse_args", "parse_intermixed_args", "parse_known_intermixed_args")
# Frameworks with an argparse of their own beside what they are asked to parse, or with a file of their own here.
NOT_THE_PROGRAM = ("hydra", "fire", "tyro", "jsonargparse", "simple_parsing")

_UNKNOWN = object()  # the words of a parser that has no argument


def install(module, capture):
    if not hasattr(module, "_UNRECOGNIZED_ARGS_ATTR"):
        return  # somebody's own module of that name
    watch = _Watch(module, capture)
    left_over = module._UNRECOGNIZED_ARGS_ATTR

    def hasattr_(value, name):
        frame = sys._getframe(1)
        if frame.f_code.co_name in PARSING:
            watch.look(frame, value, name == left_over)
        return hasattr(value, name)

    hasattr_.__name__ = hasattr_.__qualname__ = "hasattr"
    module.hasattr = hasattr_


class _Watch(object):
    def __init__(self, module, capture):
        self.module = module
        self.capture = capture
        self.given_words = {}  # of the namespaces that are being filled: parse_known_args forgets what it was given

    def look(self, frame, namespace, done):
        try:
            if done:
                self._parsed(frame, namespace, self.given_words.pop(id(namespace), _UNKNOWN))
            else:
                if len(self.given_words) > 100:  # of parses that failed
                    self.given_words.clear()
                self.given_words[id(namespace)] = list(frame.f_locals["args"])
        except Exception:
            pass

    def _parsed(self, frame, namespace, words):
        parser = frame.f_locals["self"]
        entries = self._entries(frame, parser)
        # parse_known_args has lost what it was given; a class of the program's may have added to it on the way down.
        given = [words] + [entry.f_locals.get("args") for entry in entries if entry.f_code.co_name not in PARSING]
        if not entries or not any(self.capture.is_of_argv(words) for words in given if words is not _UNKNOWN):
            return
        remaining = list(frame.f_locals["args"]) + getattr(namespace, self.module._UNRECOGNIZED_ARGS_ATTR, [])
        ends = ("parse_args", "parse_intermixed_args")
        if remaining and any(e.f_code.co_name in ends and e.f_globals is vars(self.module) for e in entries):
            return  # "unrecognized arguments": the program ends here
        report(self.capture, "argparse", parser, vars(namespace), remaining)

    def _entries(self, frame, parser):
        """The frames of this parse; none where another parser asked for it, or a framework of another file."""
        entries, callers, passed = [], [], 0
        while frame is not None:
            is_ours = frame.f_globals is vars(self.module)
            if frame.f_code.co_name in ENTRIES and (is_ours or "self" in frame.f_code.co_varnames):
                if frame.f_locals.get("self") is parser:
                    entries.append(frame)
                    passed = len(callers) + (not is_ours)
                elif is_ours:
                    return []
            if not is_ours:
                callers.append(frame.f_globals.get("__name__") or "")
            frame = frame.f_back
        # Those on the way, and the one that called it.
        packages = [name.partition(".")[0] for name in callers[: passed + 1]]
        return [] if any(package in NOT_THE_PROGRAM for package in packages) else entries


def report(capture, framework, parser, values, remaining):
    values = {name: value for name, value in values.items() if name != "_unrecognized_args"}
    given, commands = given_by(parser, sys.argv[1:], values)
    command = " ".join([capture.program()] + commands)
    defaults = {name: default for name, default in given.items() if default is not None}
    capture.report(framework, values, command, given=sorted(given), defaults=defaults, extra=remaining)


def given_by(parser, words, values):
    """What the words set, as name → default, and the subcommands among them."""
    given, commands, skip = {}, [], 0
    subparsers = [action for action in parser._actions if is_subparsers(action)]
    for at, word in enumerate(words):
        if word == "--":
            break
        actions = _options(parser, word)
        given.update((action.dest, action.default) for action in actions)
        if actions:
            skip = 0 if "=" in word else _arguments(actions[-1])
        elif skip > 0:
            skip -= 1
        elif subparsers and word in subparsers[0].choices:
            inner, commands = given_by(subparsers[0].choices[word], words[at + 1 :], values)
            given.update(inner)
            commands = [word] + commands
            if subparsers[0].dest in values:
                given[subparsers[0].dest] = None
            break
    for action in parser._actions:
        if not action.option_strings and action not in subparsers and action.dest in values:
            if action.nargs not in ("?", "*") or values[action.dest] is not action.default:
                given[action.dest] = action.default
    return given, commands


def is_subparsers(action):
    return any(kind.__name__ == "_SubParsersAction" for kind in type(action).__mro__)


def _arguments(action):
    """How many words after the option are its own, at least."""
    if isinstance(action.nargs, int):
        return action.nargs
    return 1 if action.nargs in (None, "+") else 0


def _options(parser, word):
    """The options that a word names: one, or those of a cluster such as -vx."""
    options = parser._option_string_actions
    if len(word) < 2 or word[0] not in parser.prefix_chars:
        return []
    name = word.partition("=")[0]
    if word in options or name in options:
        return [options.get(word) or options[name]]
    if parser._negative_number_matcher.match(word) and not parser._has_negative_number_optionals:
        return []
    cluster = []
    if word[1] not in parser.prefix_chars:
        for letter in word[1:]:
            action = options.get(word[0] + letter)
            if action is None:
                break
            cluster.append(action)
            if action.nargs != 0:
                break
    if cluster:
        return cluster
    begun = {id(action): action for option, action in options.items() if option.startswith(name)}
    return list(begun.values()) if len(begun) == 1 and getattr(parser, "allow_abbrev", True) else []
