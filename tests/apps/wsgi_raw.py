"""WSGI applications without a framework, each behind the validator of the standard library where it can be."""

import sys
import threading
from wsgiref.validate import validator

seen = {}
closed = []


@validator
def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Method", environ["REQUEST_METHOD"])])
    return [body]


@validator
def remember(environ, start_response):
    seen.clear()
    seen.update({key: value for key, value in environ.items() if isinstance(value, (str, int, bool, tuple))})
    seen["thread"] = threading.current_thread() is threading.main_thread()
    seen["errors"] = environ["wsgi.errors"] is not None
    environ["wsgi.errors"].write("")
    environ["wsgi.errors"].flush()
    start_response("204 No Content", [])
    return []


def scope(*names):
    return {name: repr(seen.get(name)) for name in names}


@validator
def reader(environ, start_response):
    """Reads the body in every way that PEP 3333 names."""
    source = environ["wsgi.input"]
    parts = [source.read(3), source.readline(), b"|".join(source.readlines(1)), b"/".join(source), source.read(10)]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return parts


class Closing:
    """A response that wants to be closed."""

    def __init__(self, parts, error=None):
        self.parts = iter(parts)
        self.error = error

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self.parts)
        except StopIteration:
            if self.error is not None:
                raise self.error from None
            raise

    def close(self):
        closed.append(self.error is None)


def closing(environ, start_response):
    start_response("200 OK", [])
    return Closing([b"a", b"", b"b"])


def failing_late(environ, start_response):
    start_response("200 OK", [])
    return Closing([b"a"], ValueError("in the middle"))


def late_start(environ, start_response):
    """A generator that starts the response before its first part."""
    start_response("202 Accepted", [("X-Late", "yes")])
    yield b"late"


def writes(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written, ")
    write(b"again, ")
    return [b"returned"]


def replaced(environ, start_response):
    """Changes its mind before anything was sent."""
    start_response("200 OK", [("X-First", "1")])
    try:
        raise KeyError("x")
    except KeyError:
        start_response("500 Oops", [("X-Second", "2")], sys.exc_info())
    return [b"sorry"]


def too_late(environ, start_response):
    write = start_response("200 OK", [])
    write(b"sent")
    try:
        raise KeyError("too late")
    except KeyError:
        start_response("500 Oops", [], sys.exc_info())
    return []


def trouble(environ, start_response):
    what = environ["PATH_INFO"][1:]
    if what == "raise":
        raise ValueError("before start")
    if what == "exit":
        raise SystemExit("leaving")
    if what == "body_first":
        return [b"x"]
    if what == "never":
        return []
    if what == "twice":
        start_response("200 OK", [])
    start_response(*{"status": ("200", []), "bytes": (b"200 OK", []), "headers": ("200 OK", ())}.get(what, ("200 OK", [("X", "a\r\nb" if what == "break" else "b")])))
    return ["text"] if what == "text" else [b"fine"]


def factory():
    return echo
