"""python train_simple_parsing.py --lr 0.3 --width 128"""

import json
from dataclasses import asdict, dataclass, field

from simple_parsing import ArgumentParser


@dataclass
class Model:
    width: int = 64
    dropout: float = 0.1


@dataclass
class Config:
    lr: float = 0.1
    steps: int = 100
    amp: bool = False
    name: str = "base"
    layers: list[int] = field(default_factory=lambda: [64, 64])
    model: Model = field(default_factory=Model)


parser = ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_arguments(Config, dest="config")

if __name__ == "__main__":
    arguments = parser.parse_args()
    print(json.dumps({"seed": arguments.seed, "config": asdict(arguments.config)}))
