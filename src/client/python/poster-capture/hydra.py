"""Hydra and hydra-zen: the configuration, overrides and outcome of each job, told as Hydra tells its callbacks.

The methods of Hydra's Callbacks call us and then do what they did. Nothing is added to the configuration nor to the
list of callbacks: a launcher that pickles them to another machine takes nothing of ours along. The job itself does not
run below any of these methods.
"""

import functools
import os
import sys

HOOKS = ("on_run_start", "on_run_end", "on_multirun_start", "on_multirun_end", "on_job_start", "on_job_end")
ERROR_LENGTH = 500


def install(module, capture):
    callbacks = module.Callbacks
    if getattr(callbacks, "_watched_by_poster", False):
        return
    callbacks._watched_by_poster = True
    told = _Told(capture)
    for name in HOOKS:
        setattr(callbacks, name, telling(getattr(callbacks, name), getattr(told, name)))


def telling(method, tell):
    @functools.wraps(method)
    def hook(self, *words, **names):
        try:
            tell(names.get("config", words[0] if words else None), sys._getframe(1), names)
        except Exception:
            pass
        return method(self, *words, **names)

    del hook.__wrapped__
    return hook


class _Told(object):
    def __init__(self, capture):
        self.capture = capture
        self.mode = None  # of the run that began in this process: a launcher may have sent us a job alone

    def on_run_start(self, config, frame, names):
        self.mode = "RUN"
        self._report("run_start", config, frame)

    def on_multirun_start(self, config, frame, names):
        self.mode = "MULTIRUN"
        self._report("run_start", config, frame)

    def on_run_end(self, config, frame, names):
        self._report("run_end", config, frame, brief=True)

    def on_multirun_end(self, config, frame, names):
        self._report("run_end", config, frame, brief=True)

    def on_job_start(self, config, frame, names):
        self._report("job_start", config, frame, task=task_name(names.get("task_function")))

    def on_job_end(self, config, frame, names):
        outcome = names.get("job_return")
        more = {"status": outcome.status.name}
        if more["status"] == "FAILED":
            error = outcome._return_value
            more["error"] = ("%s: %s" % (type(error).__name__, error))[:ERROR_LENGTH]
        self._report("job_end", config, frame, brief=True, **more)

    def _report(self, phase, config, frame, brief=False, **more):
        mode = self.mode or mode_of(config)
        fields = {"phase": phase, "mode": mode, "job": select(config, "hydra.job.num") or 0}
        fields["output_dir"] = select(config, "hydra.runtime.output_dir")  # from Hydra 1.2 on
        if mode == "MULTIRUN":
            start = select(config, "hydra.runtime.cwd") or ""  # a job may be elsewhere
            fields["sweep_dir"] = os.path.join(start, select(config, "hydra.sweep.dir") or "")
        values = {}
        if not brief:
            raw = container(config, False)
            raw.pop("hydra", None)
            values = self.capture.file("omegaconf")["resolved"](raw)
            fields.update(
                raw=raw,
                overrides=container(select(config, "hydra.overrides.task"), False) or [],
                choices=container(select(config, "hydra.runtime.choices"), False) or {},
                version=select(config, "hydra.runtime.version"),
                targets=targets(raw),
            )
        fields.update(more)
        fields = {name: value for name, value in fields.items() if value is not None}
        self.capture.report("hydra-zen" if is_zen(frame, more) else "hydra", values, **fields)


def select(config, key):
    from omegaconf import OmegaConf

    try:
        return OmegaConf.select(config, key, default=None)
    except Exception:  # an interpolation that does not resolve here
        return None


def container(config, resolve):
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=resolve) if OmegaConf.is_config(config) else config


def mode_of(config):
    mode = select(config, "hydra.mode")
    return getattr(mode, "name", mode) or "RUN"


def targets(value):
    """The _target_ values, each once, in order."""
    found = []
    if isinstance(value, dict):
        if isinstance(value.get("_target_"), str):
            found.append(value["_target_"])
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            found += [target for target in targets(inner) if target not in found]
    return found


def task_name(task):
    task = getattr(task, "func", task)  # hydra-zen's wrapper
    name = getattr(task, "__qualname__", None) or type(task).__qualname__
    return "%s.%s" % (getattr(task, "__module__", ""), name)


def is_zen(frame, more):
    if "hydra_zen" not in sys.modules:
        return False
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("hydra_zen."):
            return True
        frame = frame.f_back
    return False
