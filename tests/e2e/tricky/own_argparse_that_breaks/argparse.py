def load():
    raise RuntimeError("while it is imported")


load()
