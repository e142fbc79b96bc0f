# $ exec $PYTHON introspection.py --lr 3
# captures argparse
import argparse, importlib.util, inspect, pickle, pydoc, copy

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
options = copy.deepcopy(parser).parse_args()
print(options, type(options), type(parser).__mro__, argparse.Namespace is type(options))
print(hash(pickle.dumps(options)) == hash(pickle.dumps(pickle.loads(pickle.dumps(options)))), len(pickle.dumps(options)))
for name, member in sorted(vars(argparse.ArgumentParser).items()):
    if inspect.isfunction(member):
        print(name, inspect.signature(member), member.__qualname__, member.__module__, member.__code__.co_filename)
print(inspect.getsource(argparse.ArgumentParser.parse_known_args))
print(pydoc.render_doc(argparse.ArgumentParser))
print(argparse.__all__, argparse.__spec__, argparse.__loader__, type(argparse), argparse.__file__, argparse.__cached__)
print(vars(argparse.__loader__), type(importlib.util.find_spec("argparse").loader).__mro__)
