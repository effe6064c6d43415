"""Its stub is in a package of stubs."""


def area(width, height=1.0):
    return float(width * height)
