# $ exec $PYTHON fork_and_spawn.py --lr 3
# captures argparse
import argparse, multiprocessing, sys


def work(number):
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=int)
    return number, parser.parse_args(), __name__, [p for p in sys.path if "/client/" not in p]


if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            print(method, pool.map(work, range(3)))
    work(0)
