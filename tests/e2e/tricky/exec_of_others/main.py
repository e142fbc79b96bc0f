# $ for python in $PYTHONS; do $PYTHON main.py $python --lr 3 || echo $?; done
# captures argparse
import os, sys

if sys.argv[1].startswith("--"):
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=int)
    print(vars(parser.parse_args()), sys.version_info[:2], [name for name in ("sitecustomize", "json") if name in sys.modules])
    sys.stdout.flush()
    print(1 // (parser.parse_args().lr - 3))
else:
    os.execv(sys.argv[1], [sys.argv[1], "main.py"] + sys.argv[2:])
