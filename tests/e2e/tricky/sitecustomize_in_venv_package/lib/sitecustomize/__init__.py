import builtins

builtins.loaded = getattr(builtins, "loaded", 0) + 1
times = builtins.loaded
print("sitecustomize of the user's")
