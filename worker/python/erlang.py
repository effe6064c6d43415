"""Module erlang of a process that a worker's program started: it can be imported there, and nothing in it can be used.

Programs that begin with `from erlang import name` are imported again by the children of multiprocessing, which are no
workers and have no Erlang node. Whatever they name is there; to use it raises RuntimeError.
"""


def _refuse(name):
    return RuntimeError(f"erlang.{name} cannot be used in a child process: do it in the worker itself")


class Interrupted(BaseException):
    """Raised in a request of a worker that its caller interrupted or that ran out of time."""


class _WorkersOnly:
    def __new__(cls, *args, **kwargs):
        raise _refuse(cls.__name__)


class Pid(_WorkersOnly):
    """An Erlang process."""


class Ref(_WorkersOnly):
    """An Erlang reference."""


class Port(_WorkersOnly):
    """An Erlang port."""


class Fun(_WorkersOnly):
    """An Erlang function."""


class ErlangHandler(_WorkersOnly):
    """Hands log records to the Erlang node."""


class Span(_WorkersOnly):
    """A span of a trace."""


def trace(name=None):
    """Leaves a function as it is: there is nobody to report its spans to."""
    return name if callable(name) else lambda function: function


def __getattr__(name):
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(f"module 'erlang' has no attribute {name!r}")

    def function(*args, **kwargs):
        raise _refuse(name)

    function.__name__ = function.__qualname__ = name
    return function
