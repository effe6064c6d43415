"""Every shape of function that wrappers are made of.

Text that is awkward elsewhere: `back` quotes, "quotes", \\n, #{no}, <tag> & @doc.
"""

import contextlib
import functools
from time import strftime as formatted

__all__ = [
    "LIMIT", "LETTERS", "FixtureError", "Shout", "acount", "anything", "cached", "count", "defaults", "endless", "everything", "fails", "formatted", "hidden", "keyword_only",
    "later", "lazy", "managed", "names", "positional", "quoted", "required", "star", "star_after_default",
]  # fmt: skip

LIMIT = 10
LETTERS = ("a", "b")


class FixtureError(ValueError):
    """Raised on purpose."""


class Lazy:
    """Loads itself when it is touched, and cannot."""

    def __getattr__(self, name):
        raise LookupError(name)


lazy = Lazy()


def required(a, b):
    """Both are needed."""
    return [a, b]


def defaults(a, b=2, *, c=3):
    return [a, b, c]


def positional(a, b=2, c=3, /):
    """All by position."""
    return [a, b, c]


def keyword_only(*, key, other=None):
    return [key, other]


def star(first, *rest, sep="-"):
    """Joins."""
    return sep.join([first, *rest])


def star_after_default(a, b=1, *rest):
    return [a, b, list(rest)]


def anything(**options):
    return options


def everything(a, b=1, *args, c, d=4, **more):
    return [a, b, list(args), c, d, more]


def names(fn, N, opts, self, _end, *, when=None):
    """Parameters whose names mean something elsewhere."""
    return [fn, N, opts, self, _end, when]


def quoted():
    '''Has """quotes""" and a \\ backslash, #{not} interpolated.'''
    return '"""'


def Shout(text):
    return text.upper() + "!"


@functools.lru_cache(maxsize=None)
def cached(x=1):
    return x * 2


@contextlib.contextmanager
def managed(value):
    """Is no generator for those who call it."""
    yield value


def fails(text="no"):
    raise FixtureError(text)


async def later(x, *, add=0):
    """Awaited."""
    import asyncio

    await asyncio.sleep(0)
    return x + add


def count(n, *, step=1):
    """A generator."""
    for i in range(0, n * step, step):
        yield i


def endless():
    i = 0
    while True:
        yield i
        i += 1


async def acount(n):
    """An asynchronous generator."""
    for i in range(n):
        yield i


def hidden(a, _b=1, *rest, _c, _d=4):
    """Private parameters, without some of which others cannot be given."""
    return [a, _b, list(rest), _c, _d]
