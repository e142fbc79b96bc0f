# $ exec $PYTHON error_after_parsing.py --lr 0.2
# captures argparse
import argparse


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)
    options = parser.parse_args()
    return 1 / (options.lr - 0.2)


main()
