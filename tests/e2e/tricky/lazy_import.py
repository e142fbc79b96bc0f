# $ exec $PYTHON lazy_import.py --lr 3
# captures argparse
import importlib.util, sys


def lazy(name):
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


argparse = lazy("argparse")
print(type(argparse).__name__, "gettext" in sys.modules)
parser = argparse.ArgumentParser()
print(type(argparse).__name__, type(argparse.__loader__).__name__)
parser.add_argument("--lr", type=int)
print(parser.parse_args())
