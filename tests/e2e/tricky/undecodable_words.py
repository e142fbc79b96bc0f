# $ exec $PYTHON undecodable_words.py --name "$(printf 'a\377b')" "" "$(printf 'new\nline')"
# captures argparse
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--name")
parser.add_argument("rest", nargs="*")
print(ascii(parser.parse_args()))
