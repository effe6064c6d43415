"""What py_asgi calls. The program of module erlang._asgi."""

from __future__ import annotations

import asyncio
import inspect
from sys import intern

from erlang import _import
from erlang._exchange import Exchange
from erlang._lifespan import application, applications
from erlang._stream import Stream, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Optional

    from erlang import Pid
    from erlang._exchange import Body, Headers
    from erlang._lifespan import Message

    Address = Optional[tuple[str, Optional[int]]]
    Fields = tuple[
        str, str, str, str, bytes, bytes, str, Headers, Address, Address, Optional[Message], Optional[Message]
    ]

# Shared by all requests.
ASGI = {"version": "3.0", "spec_version": "2.3"}


def complete(fields: Fields, others: Message, shared: Message) -> Message:
    """The scope, from what the caller gave and what the worker knows."""
    version, method, scheme, path, raw_path, query, root_path, headers, client, server, asgi, state = fields
    scope = {
        "type": "http",
        "asgi": ASGI if asgi is None else asgi,
        "http_version": version,
        "method": method.upper(),
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in headers],
        "client": client,
        "server": server,
        "state": shared.copy() if state is None else {**shared, **state},
    }
    for name, value in others.items():
        scope[intern(name)] = value
    return scope


async def start(module: str, name: str, factory: bool) -> None:
    """Starts an application before its first request."""
    await application(module, name, factory)


async def run_with(
    runner: str, module: str, name: str, factory: bool, fields: Fields, others: Message, body: Body
) -> tuple[int, Headers, bytes]:
    """Runs a request with a runner of the user: its function `run`, or `_run_asgi_sync`."""
    found = _import(runner)
    function = getattr(found, "run", None) or found._run_asgi_sync
    arguments = (module, name, complete(fields, others, {}), bytes(body))
    if inspect.iscoroutinefunction(function):
        result = await function(*arguments)
    else:
        result = await asyncio.to_thread(function, *arguments)
        if inspect.isawaitable(result):
            result = await result
    status, headers, content = result
    return int(status), pairs(headers), bytes(content)


def pairs(headers: Iterable[Iterable[bytes | str]]) -> Headers:
    encode = lambda text: text.encode("latin-1") if isinstance(text, str) else bytes(text)  # noqa: E731
    return [(encode(name), encode(value)) for name, value in headers]


async def post(pid: Pid, pieces: list[bytes], more: bool, credit: int) -> None:
    """What the consumer of a stream has said since the last time."""
    stream = streams.get(pid)
    if stream is not None:
        stream.post(pieces, more, credit)


async def run_stream(
    module: str, name: str, factory: bool, fields: Fields, others: Message, body: Body | None, pid: Pid, credit: int | None
) -> None:
    """Runs a request; the response goes to `pid`. Without `body` that comes by `post`."""
    stream = streams[pid] = Stream(body, pid, credit)
    try:
        app = await application(module, name, factory)
        await stream.respond(app, complete(fields, others, app.state))
    finally:
        del streams[pid]


async def run(module: str, name: str, factory: bool, fields: Fields, others: Message, body: Body) -> tuple[int, Headers, bytes]:
    """Runs a request and returns its response."""
    app = applications.get((module, name, factory))
    if app is None or not app.ready:
        app = await application(module, name, factory)
    exchange = Exchange(body)
    await exchange.respond(app, complete(fields, others, app.state))
    chunks = exchange.chunks
    return exchange.status, exchange.headers, chunks[0] if len(chunks) == 1 else b"".join(chunks)
