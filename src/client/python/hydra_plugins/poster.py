"""Hydra imports this as it looks for plugins. Where Python has not run poster's sitecustomize (python -S, or another
one is in front of it on PYTHONPATH), Hydra's configuration is captured all the same. It defines no plugin.
"""

import os
import sys


def _start():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if any(getattr(finder, "is_posters", False) for finder in sys.meta_path):
        return
    import importlib.machinery

    scope = {"__name__": "poster_hydra", "__file__": os.path.join(here, "sitecustomize.py")}
    loader = importlib.machinery.SourceFileLoader("poster_hydra", scope["__file__"])
    scope["__loader__"] = loader
    exec(loader.get_code("poster_hydra"), scope)
    # Now its finder is there; Hydra's callbacks were imported before.
    callbacks = sys.modules.get("hydra._internal.callbacks")
    if callbacks is not None:
        for finder in sys.meta_path:
            if getattr(finder, "is_posters", False):
                finder.loaded(callbacks)


try:
    _start()
except Exception:
    pass
