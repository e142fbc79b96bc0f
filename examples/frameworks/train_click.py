"""python train_click.py --seed 3 train data.csv --lr 0.3"""

import json

import click


@click.group()
@click.option("--seed", default=0)
@click.pass_context
def main(context, seed):
    context.obj = {"seed": seed}


@main.command()
@click.argument("data", default="data.csv")
@click.option("--lr", default=0.1)
@click.option("--layer", "layers", type=int, multiple=True)
@click.option("--amp/--no-amp", default=False)
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), default="sgd")
@click.pass_obj
def train(outer, **values):
    print(json.dumps({**outer, **values}))


@main.command()
@click.argument("checkpoint")
@click.option("-v", "--verbose", count=True)
@click.pass_obj
def evaluate(outer, **values):
    print(json.dumps({**outer, **values}))


if __name__ == "__main__":
    main()
