"""tyro: the arguments with which it will call or construct what it was given.

`len` is what _cli_impl calls between the parsing and the call; the module gets one of its own.
"""

import dataclasses
import functools
import inspect
import sys

DUMMY = "__tyro_dummy_"
CHOICE = " (positional)"  # of a subcommand, among the names that tyro has parsed


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
    given, commands = parsed_names(known["value_from_prefixed_field_name"])
    if len(values) == 1 and next(iter(values)).startswith(DUMMY):  # around a choice of subcommands
        prefix, chosen = next(iter(values.items()))
        if not is_one_of(chosen, known["f"]):
            return  # the result of a function, whose arguments are gone
        values, given = as_values(chosen), [name.replace(prefix + ".", "", 1) for name in given]
    command = " ".join([capture.program()] + commands)
    capture.report("tyro", values, command, given=sorted(given), extra=list(known.get("unknown_args") or []))


def parsed_names(parsed):
    """The names that the command line gave, and the subcommands that it chose."""
    given, commands = [], []
    for name, value in parsed.items():
        if name.endswith(CHOICE):
            commands.append(str(value))
        elif "Missing" not in type(value).__name__:
            given.append(name.replace("-", "_"))
    return given, commands


def is_one_of(value, choices):
    """Whether it was constructed as one of the choices of a union."""
    kinds = [getattr(kind, "__origin__", kind) for kind in getattr(choices, "__args__", ())]
    return dataclasses.is_dataclass(value) and (not kinds or type(value) in kinds)


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
