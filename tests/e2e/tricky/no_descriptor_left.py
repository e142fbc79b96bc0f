# $ exec $PYTHON no_descriptor_left.py --lr 3
# captures nothing
import argparse, os, resource

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(error)
print(parser.parse_args(), len(taken) > 5)
