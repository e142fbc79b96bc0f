# $ exec $PYTHON no_space_left.py --lr 3
# captures nothing
import argparse, resource, signal

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
print(signal.getsignal(signal.SIGXFSZ))
print(parser.parse_args())
