"""What Fire, Hydra and OmegaConf themselves read: `real_parsers.py MODE`, a line of JSON in, a line of JSON out.

Runs in the environment of scripts/test_environment. Modes and answers are those of poster-grammar; `compose` takes
[overrides] and gives [configuration, choices], or null where Hydra refuses them.
"""

import json
import math
import sys
import warnings

warnings.simplefilter("ignore")


def plain(value):
    """As poster records Python's values (docs/events.md)."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if isinstance(value, (set, frozenset)):
        numbers = all(isinstance(it, (int, float)) and not isinstance(it, bool) for it in value)
        texts = all(isinstance(it, str) for it in value)
        return [plain(it) for it in (sorted(value) if numbers or texts else sorted(value, key=repr))]
    return repr(value)


def fire(word):
    from fire.parser import DefaultParseValue

    try:
        return plain(DefaultParseValue(word))
    except TypeError:  # {[1]}: Fire itself ends with a traceback
        return word


def override(word):
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(word)
    except HydraException:
        return None
    return [parsed.type.name, parsed.key_or_group, parsed.package or ""]


def yaml(text):
    from omegaconf import OmegaConf

    return plain(OmegaConf.to_container(OmegaConf.create(text), resolve=False))


def compose(overrides):
    from hydra import compose as hydra_compose
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = hydra_compose("config", overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException):
        return None
    choices = OmegaConf.to_container(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return [OmegaConf.to_container(config, resolve=False), {k: v for k, v in choices.items() if "hydra" not in k}]


if __name__ == "__main__":
    if sys.argv[1] == "compose":
        from hydra import initialize_config_dir

        initialize_config_dir(sys.argv[2], version_base=None).__enter__()
    mode = globals()[sys.argv[1]]
    for line in sys.stdin:
        print(json.dumps(mode(json.loads(line))), flush=True)
