# $ $PYTHON -m package --lr 3; $PYTHON -m package.inner --lr 4; $PYTHON package --lr 5
# captures argparse
