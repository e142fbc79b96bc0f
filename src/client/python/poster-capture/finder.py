"""Watches for the import of the modules that other files here know, and lets those files look at them."""

import os
import sys
from time import time

# The module whose import is watched, and the file of this folder that knows it.
WATCHED = {
    "argparse": "argparse",
    "jsonargparse._core": "jsonargparse",
    "jsonargparse.core": "jsonargparse",
    "simple_parsing.parsing": "simple_parsing",
    "click.core": "click",
    "typer._click.core": "click",
    "absl.flags._flagvalues": "absl",
    "tyro._cli": "tyro",
    "fire.core": "fire",
    "hydra._internal.callbacks": "hydra",
    "wandb": "uses",
    "mlflow": "uses",
    "aim": "uses",
    "tensorboard": "uses",
    "tensorboardX": "uses",
    "torch.utils.tensorboard": "uses",
}

# Python programs that start the program of the user's: what they parse is not its configuration.
LAUNCHERS = ("torchrun", "accelerate", "deepspeed", "horovodrun", "conda", "mamba", "pipenv", "poetry", "pdm", "hatch")
LAUNCHER_MODULES = ("torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch")

FRESH_LOADERS = ("SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader")  # made anew for each spec


class Finder(object):
    """Finds nothing itself; has the specs of watched modules call back when they are loaded."""

    is_posters = True

    def __init__(self, file, main):
        self.file = file
        self.main = main
        self.pid = os.getpid()  # a forked process has another
        self.clock = time  # now: the program may replace it
        self.folder = os.environ["POSTER_EVENTS_DIR"]  # the program may clear its environment

    def find_spec(self, name, path=None, target=None):
        if name not in WATCHED or self not in sys.meta_path:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            if not hasattr(finder, "find_spec"):
                return None  # of the old kind: the import system knows how to ask it
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self.watch(spec)
                return spec
        return None

    def watch(self, spec):
        try:
            kind = type(spec.loader).__name__
            if kind in FRESH_LOADERS:
                watch_loader(spec.loader, self)
            elif kind == "zipimporter" and hasattr(spec.loader, "exec_module"):
                spec.loader = ZipLoader(spec, self)
        except Exception:
            pass

    def loaded(self, module):
        """A watched module is there: the file that knows it may look at it."""
        try:
            capture = self.file("poster-capture/capture")["Capture"](self)
            self.file("poster-capture/" + WATCHED[module.__name__])["install"](module, capture)
        except Exception:
            pass


def watch_loader(loader, finder):
    """The attribute is gone again before the module sees its loader."""

    def exec_module(module):
        del loader.exec_module
        loader.exec_module(module)
        finder.loaded(module)

    loader.exec_module = as_import_system(exec_module)


class ZipLoader(object):
    """In front of a loader that all modules of a zip file share."""

    def __init__(self, spec, finder):
        self.spec = spec
        self.loader = spec.loader
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.spec.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.finder.loaded(module)


def as_import_system(function):
    """Python leaves the frames of its import system out of tracebacks; from now on `function` is part of it."""
    sys.modules["_imp"]._fix_co_filename(function.__code__, "<frozen importlib._bootstrap_external>")
    return function


def is_main():
    """Whether this is the program itself: the first Python of its line of processes, launchers apart.

    The first one leaves its mark in the environment, where the processes that it starts find it; programs that a shell
    script starts one after another do not, nor does a Python that the same process becomes with exec.
    """
    if is_launcher():
        return False
    run = "%s.%s." % (os.environ.get("POSTER_RUN_ID"), os.environ.get("POSTER_ATTEMPT"))
    mark = os.environ.get("POSTER_CAPTURE_MAIN", "")
    if mark.startswith(run) and mark != run + str(os.getpid()):
        return False
    os.environ["POSTER_CAPTURE_MAIN"] = run + str(os.getpid())
    return True


def is_launcher():
    words = getattr(sys, "orig_argv", None)
    if words is None:
        with open("/proc/self/cmdline", errors="replace") as file:
            words = file.read().split("\0")
    names = [os.path.basename(word) for word in words[1:]]
    program = next((name for name in names if not name.startswith("-")), "")
    return program in LAUNCHERS or ("-m" in words and program in LAUNCHER_MODULES)


def start(file):
    if any(getattr(finder, "is_posters", False) for finder in sys.meta_path):
        return
    as_import_system(Finder.find_spec)
    as_import_system(ZipLoader.exec_module)
    sys.meta_path.insert(0, Finder(file, is_main()))
