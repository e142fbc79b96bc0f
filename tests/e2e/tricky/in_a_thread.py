# $ exec $PYTHON in_a_thread.py --lr 3
# captures argparse
import argparse, atexit, threading

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
atexit.register(print, "first registered, last run")
threads = [threading.Thread(target=lambda: print(parser.parse_args())) for _ in range(4)]
for thread in threads:
    thread.start()
    thread.join()
atexit.register(print, "last registered, first run")
threading.Thread(target=lambda: (threading.main_thread().join(), print("after the main thread", parser.parse_args()))).start()
