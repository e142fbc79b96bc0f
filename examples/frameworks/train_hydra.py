"""python train_hydra.py lr=0.3 model=large        python train_hydra.py -m lr=0.1,0.2"""

import json

import hydra
from omegaconf import OmegaConf


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    print(json.dumps(OmegaConf.to_container(config, resolve=True)))


if __name__ == "__main__":
    main()
