"""Has a stub beside it."""

from time import strftime as formatted

__all__ = ["Thing", "formatted", "plain", "twice"]


def twice(x, times=2):
    return x * times


def plain(x, y=None):
    return x


class Thing:
    def __init__(self, name):
        self._name = name

    def rename(self, name):
        self._name = name
        return self

    def get(self, key, default=None):
        return default if key != "name" else self._name

    @property
    def name(self):
        return self._name
