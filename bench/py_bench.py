"""What the benchmark calls in the workers, beside the standard library; each function once more without the library around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

_loop = asyncio.new_event_loop()


async def _gather(count: int) -> int:
    return len(await asyncio.gather(*(asyncio.sleep(0) for _ in range(count))))


def gather(count: int) -> int:
    """So many coroutines at once on a loop of this process."""
    return _loop.run_until_complete(_gather(count))


def collect(count: int) -> list[int]:
    """The items of an iterator."""
    return list(iter(range(count)))


async def app(scope: Event, receive: Receive, send: Send) -> None:
    """An ASGI application that says hello."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def _request() -> int:
    sent: list[Event] = []

    async def receive() -> Event:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: Event) -> None:
        sent.append(event)

    headers = [(b"host", b"localhost"), (b"accept", b"*/*")]
    await app({"type": "http", "method": "GET", "path": "/hello", "headers": headers}, receive, send)
    return len(sent)


def request() -> int:
    """A request to the application, on a loop of this process."""
    return _loop.run_until_complete(_request())
