"""An ASGI response that is used while it is made. The program of module erlang._stream."""

from __future__ import annotations

from collections import deque
from math import inf

from erlang import send as to_erlang
from erlang._exchange import Exchange

TYPE_CHECKING = False
if TYPE_CHECKING:

    from erlang import Pid
    from erlang._exchange import Body
    from erlang._lifespan import Message


class Stream(Exchange):
    """A response that goes to an Erlang process while it is made, and a request body that may come from there."""

    def __init__(self, body: Body | None, pid: Pid, credit: int | None) -> None:
        super().__init__(b"" if body is None else body)
        self.pid = pid
        self.begun = False
        # Body messages that the consumer is ready to take.
        self.credit = inf if credit is None else credit
        self.pieces: deque[tuple[bytes, bool]] | None = deque() if body is None else None
        self.asked = False
        to_erlang(pid, ("py_asgi", "ready"))

    async def receive(self) -> Message:
        if self.pieces is None:
            return await super().receive()
        while not (self.complete or self.gone):
            if self.pieces:
                piece, more = self.pieces.popleft()
                if not more:
                    self.pieces = self.body = None
                return {"type": "http.request", "body": piece, "more_body": more}
            if not self.asked:
                self.asked = True
                to_erlang(self.pid, ("py_asgi", "body_wanted"))
            await self.change()
        return {"type": "http.disconnect"}

    def post(self, pieces: list[bytes], more: bool, credit: int) -> None:
        self.credit += credit
        if self.pieces is not None and (pieces or not more):
            self.asked = False
            self.pieces.extend((piece, True) for piece in pieces)
            if not more:
                self.pieces.append((b"", False))
        self.wake()

    async def emit(self, chunk: bytes) -> None:
        # Only here, so that an application that fails before its first body message can still be answered for.
        if not self.begun:
            self.begun = True
            to_erlang(self.pid, ("py_asgi", "start", self.status, self.headers))
        if chunk:
            while self.credit <= 0 and not self.gone:
                await self.change()
            if not self.gone:
                self.credit -= 1
                to_erlang(self.pid, ("py_asgi", "body", chunk))


streams: dict[Pid, Stream] = {}
