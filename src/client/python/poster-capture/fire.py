"""Python Fire: one event for each call of the chain, with the defaults that the call takes.

`IsCoroutineFunction` is asked about each function between the parsing of its arguments and its call.
"""

import functools
import inspect
import sys


def install(module, capture):
    ask = module.inspectutils.IsCoroutineFunction

    @functools.wraps(ask)
    def is_coroutine_function(function):
        try:
            look(module, capture, sys._getframe(1))
        except Exception:
            pass
        return ask(function)

    del is_coroutine_function.__wrapped__
    module.inspectutils.IsCoroutineFunction = is_coroutine_function


def look(module, capture, frame):
    if frame.f_code.co_name != "_CallAndUpdateTrace" or not is_the_program(module, capture, frame):
        return
    known = frame.f_locals
    bound = inspect.signature(known["fn"]).bind(*known["varargs"], **known["kwargs"])
    bound.apply_defaults()
    given = given_by(module, known["fn"], known["args"])
    parameters = bound.signature.parameters
    defaults = {name: parameters[name].default for name in given if name in parameters}
    defaults = {name: default for name, default in defaults.items() if default is not inspect.Parameter.empty}
    name = getattr(known["component"], "__qualname__", type(known["component"]).__qualname__)
    command = "%s %s" % (capture.program(), name)
    capture.report("fire", values_of(bound), command, given=sorted(given), defaults=defaults, extra=[])


def values_of(bound):
    """With the names behind **kwargs as values of their own."""
    values = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            values.update(value)
        else:
            values[name] = value
    return values


def given_by(module, function, words):
    """The names that the words set; Fire itself hands the defaults of the rest over like arguments."""
    spec = module.inspectutils.GetFullArgSpec(function)
    keywords, _, positional = module._ParseKeywordArgs(list(words), spec)
    given, positional = set(keywords), list(positional)
    for name in spec.args:
        if positional and name not in keywords:
            given.add(name)
            positional.pop(0)
    if positional and spec.varargs:
        given.add(spec.varargs)
    return given


def is_the_program(module, capture, frame):
    """Whether it is the outermost Fire, and took the program's own command line."""
    fire = None
    while frame is not None:
        if frame.f_globals is vars(module) and frame.f_code.co_name == "Fire":
            fire = frame
        frame = frame.f_back
    return fire is not None and fire.f_locals.get("command") is None
