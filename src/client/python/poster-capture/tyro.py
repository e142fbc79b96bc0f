"""tyro: the arguments with which it will call or construct what it was given.

`len` is what _cli_impl calls between the parsing and the call; the module gets one of its own.
"""

import dataclasses
import functools
import inspect
import sys


def install(module, capture):
    def len_(value):
        frame = sys._getframe(1)
        if frame.f_code.co_name == "_cli_impl" and "get_out" in frame.f_locals:
            try:
                look(module, capture, frame)
            except Exception:
                pass
        return len(value)

    len_.__name__ = len_.__qualname__ = "len"
    module.len = len_


def look(module, capture, frame):
    known = frame.f_locals
    if not capture.is_of_argv(known["args"]) or is_nested(module, frame.f_back):
        return
    values = arguments(known["get_out"])
    if values is None:
        return
    given = names_in(sys.argv[1:], values)
    capture.report("tyro", values, given=sorted(given), extra=list(known.get("unknown_args") or []))


def is_nested(module, frame):
    calls = 0
    while frame is not None:
        calls += frame.f_globals is vars(module) and frame.f_code.co_name == "cli"
        frame = frame.f_back
    return calls > 1


def arguments(call):
    """Of the call that tyro has prepared, without making it; None: in a form not known here."""
    if isinstance(call, functools.partial):
        bound = inspect.signature(call.func).bind(*call.args, **call.keywords)
        bound.apply_defaults()
        values = dict(bound.arguments)
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                values.update(values.pop(name))
        return values
    if getattr(call, "__module__", "") == "tyro._calling":
        held = inspect.getclosurevars(call).nonlocals
        for name in ("kwargs", "default_instance"):
            if name in held:
                return as_values(held[name])
    inner = inspect.getclosurevars(call).nonlocals.get("get_out_unwrapped")
    return arguments(inner) if inner is not None else None


def as_values(value):
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value if isinstance(value, dict) else {"value": value}


def names_in(words, values):
    """Which names the options on the command line set: --model.width 3, --no-flag."""
    given = set()
    for word in words:
        if word == "--":
            break
        if word.startswith("--"):
            name = word[2:].partition("=")[0].replace("-", "_")
            for candidate in (name, name.replace("no_", "", 1) if "no_" in name else name):
                if candidate.partition(".")[0] in values:
                    given.add(candidate)
    return given
