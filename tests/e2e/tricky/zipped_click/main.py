# $ $PYTHON -m zipapp app -o app.pyz; exec $PYTHON app.pyz --lr 3
# captures argparse
