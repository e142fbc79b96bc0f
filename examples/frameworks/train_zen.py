"""python train_zen.py lr=0.3 model.width=128"""

import json

from hydra_zen import builds, make_config, store, zen


class Model:
    def __init__(self, width, dropout):
        self.width, self.dropout = width, dropout


def train(lr, layers, name, model):
    print(json.dumps(dict(lr=lr, layers=list(layers), name=name, model=vars(model))))


Config = make_config(lr=0.1, layers=[64, 64], name=None, model=builds(Model, width=64, dropout=0.1))

if __name__ == "__main__":
    store(Config, name="train")
    store.add_to_hydra_store()
    zen(train).hydra_main(config_name="train", config_path=None, version_base="1.3")
