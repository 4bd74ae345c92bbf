def class = 1
def x = [1, 2
