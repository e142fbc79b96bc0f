"""click, and typer, which carries a copy of it: one event for each command of the line, outer ones first.

`push_context` is called as a context is entered: first to parse, then to run the command. It returns before the command
runs, so that nothing of ours is on the stack of the program.
"""

import functools
import sys


def install(module, capture):
    push = module.push_context
    framework = "typer" if module.__name__.startswith("typer.") else "click"
    state = {}  # ids of the context of the program's own command line, and of the one that was last told

    @functools.wraps(push)
    def push_context(context):
        push(context)
        try:
            look(module, capture, framework, state, context, sys._getframe(2))
        except Exception:
            pass

    del push_context.__wrapped__
    module.push_context = push_context


def look(module, capture, framework, state, context, frame):
    """`frame` is that of the with statement that enters the context."""
    if frame.f_code.co_name == "scope":
        note_root(capture, state, context, frame)
    elif isinstance(frame.f_locals.get("self"), module.Context) or context.resilient_parsing:
        return  # run by another command, or by the shell's completion
    elif id(context.find_root()) == state.get("root") and id(context) != state.get("told"):
        state["told"] = id(context)
        typer = any(kind.__module__.startswith("typer.") for kind in type(context.command).__mro__)
        report(capture, "typer" if typer else framework, context)


def note_root(capture, state, context, frame):
    while frame is not None and frame.f_code.co_name != "make_context":
        frame = frame.f_back
    if frame is not None and context.parent is None and capture.is_of_argv(frame.f_locals.get("args")):
        state["root"] = id(context)


def report(capture, framework, context):
    more = {}
    if hasattr(context.command, "commands") and not context.params:
        return  # a group that only leads to its commands
    if hasattr(context, "get_parameter_source"):
        more["given"] = [name for name in context.params if was_given(context, name)]
        defaults = {parameter.name: plain_default(parameter) for parameter in context.command.params}
        more["defaults"] = {name: defaults[name] for name in more["given"] if defaults.get(name) is not None}
    if not hasattr(context.command, "commands"):
        more["extra"] = list(context.args)
    capture.report(framework, dict(context.params), " ".join(names(capture, context)), **more)


def was_given(context, name):
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def plain_default(parameter):
    default = parameter.default
    if callable(default) or type(default).__module__.startswith(("click.", "typer.")):
        return None  # made when it is needed, or a mark for "none"
    return default


def names(capture, context):
    found = []
    while context.parent is not None:
        found.insert(0, context.info_name or context.command.name or "")
        context = context.parent
    return [capture.program()] + found
