"""python train_typer.py train data.csv --lr 0.3"""

import json
from enum import Enum
from typing import List, Optional

import typer

app = typer.Typer()


class Optimizer(str, Enum):
    sgd = "sgd"
    adam = "adam"


@app.command()
def train(
    data: str = "data.csv",
    lr: float = 0.1,
    layers: List[int] = [64, 64],
    amp: bool = False,
    name: Optional[str] = None,
    optimizer: Optimizer = Optimizer.sgd,
):
    print(json.dumps(dict(data=data, lr=lr, layers=layers, amp=amp, name=name, optimizer=optimizer.name)))


@app.command()
def evaluate(checkpoint: str, steps: int = 10):
    print(json.dumps(dict(checkpoint=checkpoint, steps=steps)))


if __name__ == "__main__":
    app()
