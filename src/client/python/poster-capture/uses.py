"""Tells that the program has imported a tracker."""


def install(module, capture):
    name = "tensorboard" if module.__name__ == "torch.utils.tensorboard" else module.__name__
    told = capture.file("uses").setdefault("TOLD", set())
    if name not in told:
        told.add(name)
        capture.write("uses", {"module": name})
