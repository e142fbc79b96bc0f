# $ exec $PYTHON directory_that_is_gone.py --lr 3
# captures argparse
import argparse, os, sys

os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args())
os.execv(sys.executable, [sys.executable, "-c", "import argparse, sys; print(sys.path[0], argparse.__name__)"])
