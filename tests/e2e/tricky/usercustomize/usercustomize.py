print("usercustomize of the user's")
