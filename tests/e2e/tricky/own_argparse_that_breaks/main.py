# $ exec $PYTHON main.py --lr 3
# captures nothing
import argparse
