"""Runs WSGI applications (PEP 3333) for py_wsgi. The program of module erlang._wsgi."""

from __future__ import annotations

import sys
from io import BytesIO

from erlang import WorkerInfo, _find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any, Callable

    Environ = dict[str, Any]
    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
    Callee = Callable[[Environ, Callable[..., Callable[[bytes], object]]], Iterable[bytes]]
    Answer = tuple[bytes, list[tuple[bytes, bytes]], bytes]

applications: dict[tuple[str, str, bool], Callee] = {}


class Response:
    """What an application answers; nothing of it leaves before all of it is there."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.headers: list[tuple[str, str]] = []
        self.chunks: list[bytes] = []

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        if exc_info:
            try:
                # A server that does not buffer would have sent the headers with the first of the body.
                if self.chunks:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise AssertionError("start_response() was called a second time without exc_info")
        if type(status) is not str or len(status) < 4 or not status[:3].isdigit() or status[3] != " ":
            raise AssertionError(f"{status!r} is not a status such as '200 OK'")
        if type(headers) is not list:
            raise AssertionError("the headers must be a list")
        for name, value in headers:
            if type(name) is not str or type(value) is not str:
                raise AssertionError("names and values of headers must be str")
            if not {"\r", "\n", "\0"}.isdisjoint(name + value):
                raise AssertionError(f"header {name!r} holds a line break or a NUL")
        self.status = status
        self.headers = list(headers)
        return self.write

    def write(self, data: bytes) -> None:
        if self.status is None:
            raise AssertionError("there is a body before start_response()")
        if not isinstance(data, bytes):
            raise AssertionError(f"the body must consist of bytes, not {type(data).__name__}")
        if data:
            self.chunks.append(data)


def find(module: str, name: str, factory: bool) -> Callee:
    """The callable that the names mean; `factory`: what it returns."""
    key = (module, name, factory)
    found: Any = applications.get(key)
    if found is None:
        found = _find(module, name)
        found = applications[key] = found() if factory else found
    return found


def native(environ: dict[str, Any], body: bytes | memoryview) -> Environ:
    """The environment with strings as PEP 3333 wants them, and with what the server has to add."""
    for name, value in environ.items():
        if type(value) is bytes:
            environ[name] = value.decode("latin-1")
    given = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": WorkerInfo.executors > 1,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    given.update(environ)
    return given


def run(module: str, name: str, factory: bool, environ: dict[str, Any], body: bytes | memoryview) -> Answer:
    """Runs a request and returns its response."""
    application = find(module, name, factory)
    response = Response()
    environ = native(environ, body)
    parts = application(environ, response.start)
    try:
        for part in parts:
            response.write(part)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    if response.status is None:
        raise AssertionError("the application has not called start_response()")
    content = b"" if environ["REQUEST_METHOD"] == "HEAD" else b"".join(response.chunks)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    return response.status.encode("latin-1"), headers, content
