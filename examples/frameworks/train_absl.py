"""python train_absl.py --lr=0.3 --noamp"""

import json

from absl import app, flags

FLAGS = flags.FLAGS
NAMES = ["lr", "steps", "amp", "name", "layers", "optimizer"]

flags.DEFINE_float("lr", 0.1, "learning rate")
flags.DEFINE_integer("steps", 100, "steps")
flags.DEFINE_boolean("amp", False, "mixed precision")
flags.DEFINE_string("name", None, "name")
flags.DEFINE_list("layers", ["64", "64"], "widths")
flags.DEFINE_enum("optimizer", "sgd", ["sgd", "adam"], "optimizer")


def main(argv):
    print(json.dumps({name: FLAGS[name].value for name in NAMES}))


if __name__ == "__main__":
    app.run(main)
