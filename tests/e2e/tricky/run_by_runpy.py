# $ exec $PYTHON -c 'import runpy, sys; sys.argv = ["x", "--lr", "3"]; runpy.run_path("run_by_runpy.py", run_name="__main__")'
# captures argparse
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), __name__)
raise SystemExit("an end with words")
