"""python train_fire.py train data.csv --lr=0.3 --layers=[64,32]"""

import json

import fire


class Trainer:
    def __init__(self, seed=0):
        self.seed = seed

    def train(self, data="data.csv", lr=0.1, layers=(64, 64), amp=False, name=None, **more):
        values = dict(seed=self.seed, data=data, lr=lr, layers=layers, amp=amp, name=name, **more)
        print(json.dumps(values))

    def evaluate(self, checkpoint, *splits):
        print(json.dumps(dict(seed=self.seed, checkpoint=checkpoint, splits=splits)))


if __name__ == "__main__":
    fire.Fire(Trainer)
