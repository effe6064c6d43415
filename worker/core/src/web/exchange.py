"""One HTTP request to an ASGI application and its response. The program of module erlang._exchange.

Everything here runs in the thread of the worker's event loop, so nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, Union

    from erlang._lifespan import Application, Message

    Body = Union[bytes, memoryview]
    Headers = list[tuple[bytes, bytes]]

# A request body that is larger arrives in pieces of this size.
PIECE = 65536
# An application that never waits for anything lets others run after so many messages.
TURN = 16
UNSAFE = re.compile(rb"[\r\n\0]")


def new_task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(coroutine)


if sys.version_info >= (3, 12):

    def new_task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:  # noqa: F811
        # It has run up to its first wait: most responses need no turn of the loop.
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)


class Exchange:
    """A request whose body is there, and a response that is collected."""

    def __init__(self, body: Body) -> None:
        # The response has no body, whatever the application sends.
        self.bodiless = False
        self.body: Body | None = body
        self.status = 0
        self.headers: Headers = []
        self.chunks: list[bytes] = []
        # What is missing of the content length that the application announced.
        self.left: int | None = None
        self.messages = 0
        self.complete = False
        # Nobody wants the response any more, or the application has ended.
        self.gone = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.changed: asyncio.Event | None = None

    async def respond(self, app: Application, scope: Message) -> None:
        """Returns when the response is complete; the application may go on in the background."""
        self.bodiless = scope["method"] == "HEAD"
        task = new_task(self.serve(app, scope))
        try:
            await self.done
        except asyncio.CancelledError:
            self.leave()
            while not task.done():
                task.cancel()
                try:
                    await asyncio.wait({task})
                except asyncio.CancelledError:
                    pass
            raise
        if not task.done():
            app.in_background(task)

    async def serve(self, app: Application, scope: Message) -> None:
        done = self.done
        try:
            await app.callable(scope, self.receive, self.send)
        except BaseException as error:
            if not done.done():
                done.set_exception(error)
            elif not isinstance(error, asyncio.CancelledError):
                app.log(error)
        else:
            if not done.done():
                what = "completing" if self.status else "starting"
                done.set_exception(RuntimeError(f"ASGI callable returned without {what} response."))
        self.leave()

    def leave(self) -> None:
        self.gone = True
        self.wake()

    def wake(self) -> None:
        if self.changed is not None:
            self.changed.set()

    async def change(self) -> None:
        if self.changed is None:
            self.changed = asyncio.Event()
        self.changed.clear()
        await self.changed.wait()

    async def receive(self) -> Message:
        body = self.body
        if body is not None and not self.gone:
            if len(body) <= PIECE:
                self.body = None
                return {"type": "http.request", "body": bytes(body), "more_body": False}
            self.body = memoryview(body)[PIECE:]
            return {"type": "http.request", "body": bytes(body[:PIECE]), "more_body": True}
        while not (self.complete or self.gone):
            await self.change()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self.gone:
            return
        if self.complete:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' sent, after response already completed.")
        if not self.status:
            if kind != "http.response.start":
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got '{kind}'.")
            self.start(message["status"], message.get("headers", ()))
            return
        if kind != "http.response.body":
            raise RuntimeError(f"Expected ASGI message 'http.response.body', but got '{kind}'.")
        chunk = message.get("body", b"")
        if type(chunk) is not bytes:
            chunk = bytes(memoryview(chunk))
        more = message.get("more_body", False)
        if self.left is not None:
            self.left -= len(chunk)
            if self.left < 0:
                raise RuntimeError("Response content longer than Content-Length")
            if self.left and not more:
                raise RuntimeError("Response content shorter than Content-Length")
        await self.emit(b"" if self.bodiless else chunk)
        if not more:
            self.complete = True
            self.wake()
            if not self.done.done():
                self.done.set_result(None)
            return
        self.messages += 1
        if not self.messages % TURN:
            await asyncio.sleep(0)

    def start(self, status: int, pairs: Any) -> None:
        status = int(status)
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is not the status of a final response")
        headers: Headers = []
        length = None
        for name, value in pairs:
            if type(name) is not bytes or type(value) is not bytes:
                name, value = bytes(memoryview(name)), bytes(memoryview(value))
            headers.append((name, value))
            if len(name) == 14 and name.lower() == b"content-length":
                length = int(value)
        if UNSAFE.search(b"".join([part for pair in headers for part in pair])):
            raise ValueError("a header holds a line break or a NUL")
        if status in (204, 304):
            self.bodiless = True
        self.left = None if self.bodiless else length
        self.headers = headers
        self.status = status

    async def emit(self, chunk: bytes) -> None:
        if chunk:
            self.chunks.append(chunk)
