raise ImportError("as it always was")
