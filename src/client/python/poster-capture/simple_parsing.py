"""simple-parsing: the namespace with the dataclasses that it makes of what argparse parsed.

The module gets a `hasattr` of its own, which is asked about each outermost dataclass when that has been made, and a
`_flatten_wrappers`, which is asked before: for parsers without any dataclass.
"""

import functools
import sys


def install(module, capture):
    flatten = module._flatten_wrappers

    def hasattr_(value, name):
        frame = sys._getframe(1)
        if frame.f_code.co_name == "_instantiate_dataclasses":
            attempt(made, module, capture, frame, name)
        return hasattr(value, name)

    @functools.wraps(flatten)
    def _flatten_wrappers(wrappers):
        frame = sys._getframe(1)
        if not wrappers and frame.f_code.co_name == "_postprocessing":
            attempt(look, module, capture, frame, {})
        return flatten(wrappers)

    hasattr_.__name__ = hasattr_.__qualname__ = "hasattr"
    del _flatten_wrappers.__wrapped__
    module.hasattr, module._flatten_wrappers = hasattr_, _flatten_wrappers


def attempt(function, *arguments):
    try:
        function(*arguments)
    except Exception:
        pass


def made(module, capture, frame, destination):
    """An outermost dataclass; they are made last, so that with the last of them all is there."""
    last = frame.f_locals["sorted_dc_wrappers"][-1]
    if destination == last.destinations[-1]:
        look(module, capture, frame, {destination: frame.f_locals["value_for_dataclass_field"]})


def look(module, capture, frame, more):
    namespace, parser, parse, args = frame.f_locals["parsed_args"], frame.f_locals["self"], None, None
    while frame is not None:
        if frame.f_code.co_name in ("parse_known_args", "parse_args") and "self" in frame.f_locals:
            if frame.f_locals["self"] is not parser:
                return  # a parser that the parser made for itself
            parse = parse or frame
            args = frame.f_locals["args"]
        frame = frame.f_back
    if not capture.is_of_argv(args):
        return
    values = dict(vars(namespace))
    values.update(more)
    remaining = list(parse.f_locals.get("unparsed_args") or [])
    capture.file("argparse")["report"](capture, "simple-parsing", parser, values, remaining)
