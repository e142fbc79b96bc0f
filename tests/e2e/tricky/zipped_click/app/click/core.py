def push_context(context):
    print("pushed", context)
