# $ $PYTHON scripts_in_sequence.py --lr 3; (exec $PYTHON scripts_in_sequence.py --lr 4) & wait; $PYTHON scripts_in_sequence.py --child
# captures argparse
import argparse, subprocess, sys

if sys.argv[1:] == ["--child"]:
    subprocess.run([sys.executable, __file__, "--lr", "5"])
else:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=int)
    print(parser.parse_args(), flush=True)
