"""jsonargparse, which parses with an argparse of its own making.

The last that its parse_args calls is a function of the module. Older versions have none; there parse_args itself is
replaced, and a traceback through it has a line more.
"""

import functools
import sys


def install(module, capture):
    finish = getattr(module, "subclasses_disabled_remove_class_path", None)
    if finish is None:
        replace_parse_args(module, capture)
        return

    @functools.wraps(finish)
    def subclasses_disabled_remove_class_path(config, *more, **names):
        result = finish(config, *more, **names)
        try:
            look(module, capture, sys._getframe(1).f_back, result)
        except Exception:
            pass
        return result

    del subclasses_disabled_remove_class_path.__wrapped__
    module.subclasses_disabled_remove_class_path = subclasses_disabled_remove_class_path


def replace_parse_args(module, capture):
    parse = module.ArgumentParser.parse_args

    @functools.wraps(parse)
    def parse_args(self, args=None, *more, **names):
        config = parse(self, args, *more, **names)
        try:
            if not is_within_another(module, sys._getframe(1)) and capture.is_of_argv(args):
                report(capture, self, config)
        except Exception:
            pass
        return config

    module.ArgumentParser.parse_args = parse_args


def look(module, capture, frame, config):
    if frame.f_code.co_name == "parse_args" and not is_within_another(module, frame.f_back):
        if capture.is_of_argv(frame.f_locals["args"]):
            report(capture, frame.f_locals["self"], config)


def is_within_another(module, frame):
    while frame is not None:
        if frame.f_globals is vars(module) and frame.f_code.co_name == "parse_args":
            return True
        frame = frame.f_back
    return False


def report(capture, parser, config):
    values = config.as_dict() if hasattr(config, "as_dict") else dict(vars(config))
    values = {name: value for name, value in values.items() if not name.startswith("__")}
    flat = config.as_flat() if hasattr(config, "as_flat") else config
    prefixed = {}  # what the parser of a subcommand calls lr is train.lr here
    for name in vars(flat):
        for at in range(1, name.count(".") + 1):
            prefixed.setdefault(name.split(".", at)[at], name)
    names = {**dict.fromkeys(prefixed), **vars(flat)}
    given, commands = capture.file("argparse")["given_by"](parser, sys.argv[1:], names)
    given = [prefixed.get(name, name) if commands and name not in vars(flat) else name for name in given]
    command = " ".join([capture.program()] + commands)
    capture.report("jsonargparse", values, command, given=sorted(given), extra=[])
