# $ $PYTHON - --lr 3 < from_stdin.py; $PYTHON -c "$(cat from_stdin.py)" --lr 4
# captures argparse
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), parser.prog)
