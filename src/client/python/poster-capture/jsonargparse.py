"""jsonargparse, which parses with an argparse of its own making."""

import functools
import sys


def install(module, capture):
    finish = module.subclasses_disabled_remove_class_path

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


def look(module, capture, frame, config):
    if frame.f_code.co_name != "parse_args" or not capture.is_of_argv(frame.f_locals["args"]):
        return
    parser, outer = frame.f_locals["self"], frame.f_back
    while outer is not None:
        if outer.f_globals is vars(module) and outer.f_code.co_name == "parse_args":
            return
        outer = outer.f_back
    values = config.as_dict() if hasattr(config, "as_dict") else dict(vars(config))
    values = {name: value for name, value in values.items() if not name.startswith("__")}
    flat = config.as_flat() if hasattr(config, "as_flat") else config
    given, commands = capture.file("argparse")["given_by"](parser, sys.argv[1:], vars(flat))
    command = " ".join([capture.program()] + commands)
    capture.report("jsonargparse", values, command, given=sorted(given), extra=[])
