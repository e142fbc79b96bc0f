# $ exec $PYTHON main.py --lr 3
# captures nothing
import argparse

print(argparse.parse(), sorted(vars(argparse)))
import broken
