"""Lets `poster run` see what a program's argument parser parsed. Python imports this file by itself as it starts.

It is there only below `poster run`, which puts its folder on PYTHONPATH. It does three things and keeps out of sight:

1. moves its folder to the end of sys.path, so that no module in it shadows anybody's;
2. hands over to the sitecustomize that it shadows: Python then has that one, or none, as it would have without poster;
3. with POSTER_CAPTURE=1, watches for the import of argument parsers and trackers (poster-capture/finder.py).

It must parse on Python 2, where it does only the first two. Nothing here may raise, print or be slow.
"""

import os
import sys

HERE = os.path.dirname(__file__)
FILES = {}


def file(name):
    """The names of the file NAME.py of ours. They are in no module that a program could see, import or shadow."""
    if name not in FILES:
        path = os.path.join(HERE, name + ".py")
        scope = {"__name__": name.replace("/", "."), "__file__": path}
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, False  # the folder is ours, and compiling is slow
        try:
            code = type(__loader__)(scope["__name__"], path).get_code(scope["__name__"])
        finally:
            sys.dont_write_bytecode = writes
        sys.modules["_imp"]._fix_co_filename(code, "<poster>")  # what tracers and coverage pass over
        exec(code, scope)
        FILES[name] = scope
    return FILES[name]


def hand_over():
    """Imports the sitecustomize that Python would have found; where there is none, fails as that import would."""
    while HERE in sys.path:
        sys.path.remove(HERE)
    shadowing = sys.modules.pop("sitecustomize", None)  # held: Python 2 would empty it
    try:
        import sitecustomize
    finally:
        sys.path.append(HERE)
        del shadowing


try:
    if sys.version_info >= (3, 6) and os.environ.get("POSTER_CAPTURE") == "1" and os.environ.get("POSTER_EVENTS_DIR"):
        file("poster-capture/finder")["start"](file)
except Exception:
    pass
if __name__ == "sitecustomize":
    hand_over()
