"""Spans: how long what took, and within what; loaded when a program first asks for one."""

import contextvars
import functools
import inspect
import os
import time

import erlang
from erlang import _in_child, _span

current = contextvars.ContextVar("erlang.span", default=None)


class Span:
    """A span of time with a name: `with Span("query", table="users") as span: ...`.

    It is sent to the node when it ends, if tracing is enabled there. Spans nest by context: those of a task have what was
    current where the task was made as their parent.
    """

    __slots__ = ("name", "attributes", "events", "span_id", "parent_id", "_wall", "_start", "_token")

    def __init__(self, name, /, **attrs):
        self.name = name
        self.attributes = attrs
        self.events = []
        self.span_id = self.parent_id = None

    def event(self, name, /, **attrs):
        """Notes something that happens within the span."""
        if self.span_id is not None:
            self.events.append((name, time.monotonic_ns(), attrs))

    def __enter__(self):
        if erlang._tracing:
            parent = current.get()
            self.parent_id = parent.span_id if parent else None
            self.span_id = int.from_bytes(os.urandom(8), "big") >> 1
            self.events = []
            self._token = current.set(self)
            self._wall, self._start = time.time_ns(), time.monotonic_ns()
        return self

    def __exit__(self, kind, error, trace):
        if self.span_id is None:
            return
        end = time.monotonic_ns()
        try:
            current.reset(self._token)
        except ValueError:
            # It ends in another context than it began in, such as a generator that is closed by the collector.
            pass
        if erlang._tracing and not _in_child():
            self._send(end, None if kind is None else (kind.__name__, text(error)))
        self.span_id = None

    def _send(self, end, error):
        events = list(self.events)
        record = [self.span_id, self.parent_id, text(self.name), self._wall, self._start, end, error]
        try:
            _span(*record, self.attributes, events)
        except Exception:
            # A value that has no term.
            try:
                events = [(text(name), at, texts(attrs)) for name, at, attrs in events]
                _span(*record, texts(self.attributes), events)
            except Exception:
                # There is nobody left to tell.
                pass


def text(value):
    """Text of a value, whatever it is, that has a term."""
    try:
        value = str(value)
    except Exception:
        value = f"<{type(value).__name__}>"
    return value[:10000].encode("utf-8", "backslashreplace")


def texts(attributes):
    return {text(key): text(value) for key, value in attributes.items()}


def trace(name=None):
    """Makes each call of a function a span: `@trace()`, `@trace("name")`. The name is `module.qualname` if none is given."""

    def decorate(function):
        title = name or f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def traced(*args, **kwargs):
                with Span(title):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def traced(*args, **kwargs):
                with Span(title):
                    return function(*args, **kwargs)

        return traced

    if callable(name):
        function, name = name, None
        return decorate(function)
    return decorate
