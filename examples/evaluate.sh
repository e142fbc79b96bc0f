#!/bin/sh
# A job need not be one program: poster holds a script and all it starts.
#
#   poster run -n evaluate ./examples/evaluate.sh 3
set -eu
runs=${1:-3}
dir=$(dirname "$0")
for seed in $(seq "$runs"); do
    echo "seed $seed"
    python3 "$dir/train.py" --seed "$seed" --epochs 3 --checkpoint "${POSTER_FILES_DIR:-.}/seed-$seed.json" | tail -n 1
done
