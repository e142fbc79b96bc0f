"""Lets `poster run` see what a program's argument parser parsed. Python imports this file by itself as it starts.

It is there only below `poster run`, which puts its folder on PYTHONPATH. It does three things and keeps out of sight:

1. moves its folder to the end of sys.path, so that no module in it shadows anybody's;
2. hands over to the sitecustomize that it shadows: Python then has that one, or none, as it would have without poster;
3. with POSTER_CAPTURE=1, watches for the import of argument parsers and trackers and loads poster_capture/*.py for it.

It must parse on Python 2, where it does only the first two. Nothing here may raise, print or be slow.
"""

import os
import sys

HERE = os.path.dirname(__file__)

# The module whose import is watched, and the file of poster_capture/ that knows it.
WATCHED = {
    "argparse": "argparse",
    "jsonargparse._core": "jsonargparse",
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

LOADERS_WITH_A_DICT = ("SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader")
IMPORT_SYSTEM = "<frozen importlib._bootstrap_external>"


class Finder(object):
    """Finds nothing itself; has the specs of watched modules call back when they are loaded."""

    def __init__(self, main):
        self.main = main
        self.files = {}
        self.is_posters = True

    def find_spec(self, name, path=None, target=None):
        if name not in WATCHED:
            return None
        after = sys.meta_path[sys.meta_path.index(self) + 1 :] if self in sys.meta_path else []
        for finder in after:
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
            if kind in LOADERS_WITH_A_DICT:
                watch_loader(spec.loader, self)
            elif kind == "zipimporter" and hasattr(spec.loader, "exec_module"):
                spec.loader = ZipLoader(spec, self)
        except Exception:
            pass

    def loaded(self, module):
        """A watched module is there: the file that knows it may look at it."""
        try:
            self.file(WATCHED[module.__name__])["install"](module, self.file("capture")["Capture"](self))
        except Exception:
            pass

    def file(self, name):
        """The names of poster_capture/NAME.py. They are in no module that a program could see or shadow."""
        if name not in self.files:
            path = os.path.join(HERE, "poster_capture", name + ".py")
            scope = {"__name__": "poster_capture." + name, "__file__": path}
            exec(type(__loader__)(scope["__name__"], path).get_code(scope["__name__"]), scope)
            self.files[name] = scope
        return self.files[name]


def watch_loader(loader, finder):
    """For loaders that are made anew for each spec: the attribute is gone before the module sees its loader."""

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
    """Python leaves the frames of its import system out of tracebacks; `function` is part of it for a while."""
    if hasattr(function.__code__, "replace"):
        function.__code__ = function.__code__.replace(co_filename=IMPORT_SYSTEM)
    return function


def is_main():
    """Whether this is the program itself: the first Python of its line of processes, launchers apart.

    The first one leaves its mark in the environment, where the processes that it starts find it; programs that a shell
    script starts one after another do not, nor does a Python that the same process becomes with exec.
    """
    words = getattr(sys, "orig_argv", None) or open("/proc/self/cmdline").read().split("\0")
    if os.path.basename(getattr(sys, "argv", words[1:2])[0]) in LAUNCHERS:
        return False
    if "-m" in words[:-1] and words[words.index("-m") + 1] in LAUNCHER_MODULES:
        return False
    run = "%s.%s." % (os.environ.get("POSTER_RUN_ID"), os.environ.get("POSTER_ATTEMPT"))
    mark = os.environ.get("POSTER_CAPTURE_MAIN", "")
    if mark.startswith(run) and mark != run + str(os.getpid()):
        return False
    os.environ["POSTER_CAPTURE_MAIN"] = run + str(os.getpid())
    return True


def start():
    if sys.version_info < (3, 6) or os.environ.get("POSTER_CAPTURE") != "1" or not os.environ.get("POSTER_EVENTS_DIR"):
        return
    if any(getattr(finder, "is_posters", False) for finder in sys.meta_path):
        return
    as_import_system(Finder.find_spec)
    as_import_system(ZipLoader.exec_module)
    sys.meta_path.insert(0, Finder(is_main()))


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
    start()
except Exception:
    pass
if __name__ == "sitecustomize":
    hand_over()
