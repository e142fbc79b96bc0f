# $ $PYTHON error_exit.py --lr high; echo $?; $PYTHON error_exit.py --unknown; echo $?; exec $PYTHON error_exit.py --li 3
# captures any
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--limit", type=int, choices=[1, 2])
print(parser.parse_args())
