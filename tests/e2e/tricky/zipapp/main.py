# $ $PYTHON -m zipapp app -o app.pyz -c; exec $PYTHON app.pyz --lr 3
# captures argparse
