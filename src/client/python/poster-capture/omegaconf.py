"""The values of a configuration with its ${…} resolved, without calling what the program might notice.

A resolver of the program's may print, count or draw a random number; asked once more than without poster, it would
change the run. So only OmegaConf's and Hydra's own are called, and those that are seen to do nothing but compute.
"""

import builtins
import dis
import re
import types

OWN = "oc.env oc.create oc.decode oc.dict.keys oc.dict.values oc.select hydra now python_version".split()
COMPUTING_MODULES = ("math", "operator", "cmath")
TELLING_BUILTINS = "print input open exec compile __import__ globals setattr delattr breakpoint".split()
DEEPEST = 20


def resolved(raw):
    """`raw` is plain; where a value cannot be resolved, or must not be, it stays as it is written."""
    from omegaconf import OmegaConf

    return _Resolver(raw, OmegaConf.create(raw)).value([], raw)


class _Resolver(object):
    def __init__(self, raw, config):
        self.raw = raw
        self.config = config
        self.harmless = {}  # resolver's name → whether it may be called

    def value(self, path, raw):
        if isinstance(raw, dict):
            return {key: self.value(path + [key], inner) for key, inner in raw.items()}
        if isinstance(raw, list):
            return [self.value(path + [at], inner) for at, inner in enumerate(raw)]
        if not isinstance(raw, str) or "${" not in raw or not self._may_resolve(raw, path, 0):
            return raw
        return self._resolved(path, raw)

    def _resolved(self, path, raw):
        from omegaconf import OmegaConf

        try:
            node = self.config
            for key in path:
                node = node[key]
            return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        except Exception:  # refers to what is missing, to a variable that is not set …
            return raw

    def _may_resolve(self, value, path, depth):
        """Whether resolving this value calls nothing but harmless resolvers, also by way of what it refers to."""
        if depth > DEEPEST:
            return False
        if isinstance(value, (dict, list)):
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            return all(self._may_resolve(below, path + [key], depth + 1) for key, below in inner)
        if not isinstance(value, str):
            return True
        for body, end in re.findall(r"\$\{([^${}]*)(\$?)", value):
            name, is_call, _ = body.partition(":")
            if is_call:
                if not self._is_harmless(name.strip()):
                    return False
            elif end or not self._may_resolve_reference(name.strip(), path, depth):
                return False  # or a name that is itself put together: ${a.${b}}
        return True

    def _may_resolve_reference(self, name, path, depth):
        dots = len(name) - len(name.lstrip("."))
        keys = path[: len(path) - dots] if dots else []
        keys = keys + [key for key in re.split(r"[.\[\]]+", name) if key]
        value = self.raw
        for at, key in enumerate(keys):
            if isinstance(value, str):  # refers on, below itself
                return self._may_resolve(value, keys[:at], depth + 1)
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]
            except (KeyError, IndexError, TypeError, ValueError):
                return True  # fails without a call
        return self._may_resolve(value, keys, depth + 1)

    def _is_harmless(self, name):
        if name not in self.harmless:
            self.harmless[name] = name in OWN or is_computation(registered(name))
        return self.harmless[name]


def registered(name):
    """The function that the program has registered under this name."""
    from omegaconf.basecontainer import BaseContainer

    wrapper = BaseContainer._resolvers.get(name)
    names = dict(zip(wrapper.__code__.co_freevars, wrapper.__closure__ or ())) if wrapper is not None else {}
    return names["resolver"].cell_contents if "resolver" in names else None


def is_computation(function):
    if isinstance(function, (types.BuiltinFunctionType, type)):
        return function.__module__ in ("builtins",) + COMPUTING_MODULES and function.__name__ not in TELLING_BUILTINS
    if not isinstance(function, types.FunctionType) or function.__closure__:
        return False
    return all(_computes(code, function.__globals__) for code in _codes(function.__code__))


def _codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for inner in _codes(constant):
                yield inner


def _computes(code, names):
    for step in dis.get_instructions(code):
        if step.opname.startswith(("IMPORT_", "STORE_GLOBAL", "STORE_ATTR", "STORE_SUBSCR", "DELETE_", "YIELD")):
            return False
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            if step.argval in names:
                value = names[step.argval]
                if not (isinstance(value, types.ModuleType) and value.__name__ in COMPUTING_MODULES):
                    return False
            elif step.argval in TELLING_BUILTINS or not hasattr(builtins, step.argval):
                return False
    return True
