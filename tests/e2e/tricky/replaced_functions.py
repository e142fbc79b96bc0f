# $ exec $PYTHON replaced_functions.py --lr 3
# captures argparse
import builtins, os, time


def spy(module, name):
    real = getattr(module, name)

    def wrapper(*words, **names):
        calls.append(name)
        return real(*words, **names)

    setattr(module, name, wrapper)


calls = []
for module, name in [(os, "open"), (os, "write"), (os, "close"), (os, "getpid"), (time, "time"), (builtins, "open")]:
    spy(module, name)
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
spy(builtins, "hasattr")
options = parser.parse_args()
calls, heard = [], calls
print(options, sorted(set(heard)))
