whose = "mine"
