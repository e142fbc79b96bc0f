# $ export PYTHONUSERBASE=$PWD/base; S=$($PYTHON -m site --user-site); mkdir -p $S; cp *customize.py $S; exec $PYTHON main.py --lr 3
# captures argparse
import argparse, sys

import usercustomize

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), usercustomize.__file__, "sitecustomize" in sys.modules)
