"""Hydra imports this as it looks for plugins. Where Python has not run poster's sitecustomize (python -S, or another
one is in front of it on PYTHONPATH), Hydra's configuration is captured all the same. It defines no plugin.
"""

import os
import sys


def _start():
    if any(getattr(finder, "is_posters", False) for finder in sys.meta_path):
        return
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sitecustomize.py")
    loader = type(__loader__)("poster_sitecustomize", path)
    scope = {"__name__": "poster_sitecustomize", "__file__": path, "__loader__": loader}
    exec(loader.get_code("poster_sitecustomize"), scope)
    callbacks = sys.modules.get("hydra._internal.callbacks")  # imported before anybody watched
    for finder in sys.meta_path:
        if callbacks is not None and getattr(finder, "is_posters", False):
            finder.loaded(callbacks)


try:
    _start()
except Exception:
    pass
