raise LookupError("broken from the start")
