# $ exec $PYTHON failed_before.py --lr 3
# captures argparse
import argparse, sys

for words in (["--lr", "x"], ["--what"], None):
    for _ in range(200):
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=int)
        sys.stderr, stderr = open("/dev/null", "w"), sys.stderr
        try:
            print(parser.parse_args(words))
            break
        except SystemExit as end:
            print(end.code)
        finally:
            sys.stderr = stderr
