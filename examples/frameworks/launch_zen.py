"""python launch_zen.py 0.1 0.2: hydra-zen's launch, which takes nothing from the command line by itself"""

import json
import sys

from hydra_zen import builds, launch, make_config, multirun, zen


class Model:
    def __init__(self, width, dropout):
        self.width, self.dropout = width, dropout


def train(lr, name, model):
    print(json.dumps(dict(lr=lr, name=name, model=vars(model))))


Config = make_config(lr=0.1, name=None, model=builds(Model, width=64, dropout=0.1))

if __name__ == "__main__":
    rates = [float(word) for word in sys.argv[1:]] or [0.1]
    if len(rates) == 1:
        launch(Config, zen(train), overrides={"lr": rates[0]}, version_base="1.3")
    else:
        launch(Config, zen(train), overrides={"lr": multirun(rates)}, multirun=True, version_base="1.3")
