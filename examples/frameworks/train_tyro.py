"""python train_tyro.py --lr 0.3 --model.width 128"""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal, Optional, Tuple

import tyro


@dataclass
class Model:
    width: int = 64
    dropout: float = 0.1


@dataclass
class Config:
    lr: float = 0.1
    amp: bool = False
    name: Optional[str] = None
    layers: Tuple[int, ...] = (64, 64)
    optimizer: Literal["sgd", "adam"] = "sgd"
    model: Model = field(default_factory=Model)


if __name__ == "__main__":
    print(json.dumps(asdict(tyro.cli(Config))))
