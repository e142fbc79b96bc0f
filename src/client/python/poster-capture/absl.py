"""absl.flags: the flags of the main module, and those that the command line set."""

import functools
import sys


def install(module, capture):
    mark = module.FlagValues.mark_as_parsed

    @functools.wraps(mark)
    def mark_as_parsed(self):
        mark(self)
        try:
            frame = sys._getframe(1)
            if frame.f_code.co_name == "__call__" and frame.f_globals is vars(module):
                look(capture, self, frame.f_locals)
        except Exception:
            pass

    del mark_as_parsed.__wrapped__
    module.FlagValues.mark_as_parsed = mark_as_parsed


def look(capture, flags, known):
    if not capture.is_of_argv(list(known["argv"])[1:]):
        return
    shown = {flag.name: flag for flag in flags.get_key_flags_for_module(sys.argv[0])}
    for name in flags:
        if flags[name].present and flags[name].name == name:
            shown[name] = flags[name]
    given = sorted(name for name, flag in shown.items() if flag.present)
    capture.report(
        "absl",
        {name: flag.value for name, flag in shown.items()},
        given=given,
        defaults={name: shown[name].default for name in given if shown[name].default is not None},
        extra=list(known["unparsed_args"]),
    )
