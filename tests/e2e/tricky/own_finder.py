# $ exec $PYTHON own_finder.py --lr 3
# captures any
import sys, types


class Finder:
    def find_spec(self, name, path=None, target=None):
        print("asked for", name)
        if name == "made_up":
            import importlib.machinery

            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        module.answer = 42


sys.meta_path.append(Finder())
import argparse, made_up

try:
    import not_there
except ImportError as error:
    print(repr(error), error.name, error.path)
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), made_up.answer)
