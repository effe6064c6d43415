"""Names that cannot stay as they are."""


def receive(x):
    return ["receive", x]


def fn(x):
    return ["fn", x]


def Nan():
    return "Nan"


def nan():
    return "nan"


class Box:
    def __init__(self, x=0):
        self._x = x

    @property
    def x(self):
        return self._x

    @x.setter
    def x(self, x):
        self._x = x

    def set_x(self, x):
        self._x = 10 * x

    def new(self):
        return Box()
