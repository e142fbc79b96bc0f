"""python train_jsonargparse.py --model.width 128 --lr 0.3"""

import json
from dataclasses import dataclass

from jsonargparse import ArgumentParser


@dataclass
class Model:
    width: int = 64
    dropout: float = 0.1


parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--layers", type=list[int], default=[64, 64])
parser.add_argument("--name", type=str | None, default=None)
parser.add_argument("--amp", type=bool, default=False)
parser.add_argument("--model", type=Model, default=Model())

if __name__ == "__main__":
    print(json.dumps(parser.parse_args().as_dict()))
