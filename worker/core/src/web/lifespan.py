"""ASGI applications of this worker and their lifespan protocol. The program of module erlang._lifespan.

Everything here runs in the thread of the worker's event loop, so nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from contextvars import Context

import erlang

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, Callable

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Callee = Callable[[Message, Receive, Send], Awaitable[None]]
    Key = tuple[str, str, bool]

logger = logging.getLogger("erlang.asgi")
# Seconds that background work has when the worker stops.
PATIENCE = 1


class lifespan_failed(Exception):  # the reason that Erlang sees
    """The application has said that it cannot start."""


class Application:
    """One application: its callable, and what lives from its start to its end."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.callable = load(*key)
        self.state: dict[str, Any] = {}
        self.ready = False
        self._starting: asyncio.Task[None] | None = None
        self._lifespan: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Returns when the application has started, whoever began that."""
        if self._starting is None:
            # What lives longer than the request that comes first does not belong to it.
            self._starting = Context().run(asyncio.get_running_loop().create_task, self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._startup = loop.create_future()
        self._shutdown = asyncio.Event()
        self._stopped = loop.create_future()
        self._told = False
        self._lifespan = loop.create_task(self._live())
        try:
            await self._startup
        except lifespan_failed:
            # The next request tries again.
            applications.pop(self.key, None)
            raise
        self.ready = True

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.callable(scope, self._receive, self._send)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            if not self._startup.done():
                logger.info("%s.%s does not support the lifespan protocol: %r", *self.key[:2], error)
            elif self.ready:
                self.log(error)
        finally:
            for future in (self._startup, self._stopped):
                if not future.done():
                    future.set_result(None)

    async def _receive(self) -> Message:
        if not self._told:
            self._told = True
            return {"type": "lifespan.startup"}
        await self._shutdown.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind.startswith("lifespan.startup.") and not self._startup.done():
            if kind == "lifespan.startup.complete":
                self._startup.set_result(None)
                return
            if kind == "lifespan.startup.failed":
                self._startup.set_exception(lifespan_failed(message.get("message", "")))
                return
        elif kind.startswith("lifespan.shutdown.") and self._shutdown.is_set() and not self._stopped.done():
            if kind == "lifespan.shutdown.failed":
                logger.error("%s.%s could not shut down: %s", *self.key[:2], message.get("message", ""))
            if kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                self._stopped.set_result(None)
                return
        raise RuntimeError(f"Unexpected ASGI message {kind!r} sent.")

    def in_background(self, task: asyncio.Task[None]) -> None:
        """Keeps what an application does after its response."""
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def log(self, error: BaseException) -> None:
        """An exception that reaches no client."""
        logger.error("Exception in ASGI application %s.%s", *self.key[:2], exc_info=error)

    async def stop(self) -> None:
        """Lets background work end, then tells the application."""
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=PATIENCE)
            for task in late:
                task.cancel()
        if self._lifespan is not None and not self._lifespan.done():
            self._shutdown.set()
            await self._stopped


def load(module: str, name: str, factory: bool) -> Callee:
    """The callable that the names mean; `factory`: what it returns."""
    found: Any = erlang._find(module, name)
    return found() if factory else found


async def shutdown() -> None:
    """Ends all applications; the worker stops."""
    await asyncio.gather(*(app.stop() for app in applications.values()), return_exceptions=True)
    applications.clear()


def end_with(loop: asyncio.AbstractEventLoop) -> None:
    """Has applications end before the loop does."""
    if threading.current_thread() is threading.main_thread():
        if shutdown not in erlang._at_stop:
            erlang._at_stop.append(shutdown)
    else:
        # A loop in a thread of its own still runs when the main thread ends.
        atexit.unregister(at_exit)
        atexit.register(at_exit, loop)


def at_exit(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.run_coroutine_threadsafe(shutdown(), loop).result()


applications: dict[Key, Application] = {}


async def application(module: str, name: str, factory: bool) -> Application:
    """The application of these names, started."""
    key = (module, name, factory)
    app = applications.get(key)
    if app is None:
        if not applications:
            end_with(asyncio.get_running_loop())
        app = applications[key] = Application(key)
    if not app.ready:
        await app.start()
    return app
