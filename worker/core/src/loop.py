"""The event loop of a worker: in a thread of its own, or, in a worker of kind async, in the main thread."""

import asyncio
import contextvars
import sys
import threading

import erlang

# The request that a task works for; tasks and threads that it starts inherit it.
request = contextvars.ContextVar("erlang_request", default=None)


async def result_of(awaitable):
    return await awaitable


def class_of_coroutines():
    coroutine = result_of(None)
    coroutine.close()
    return type(coroutine)


coroutine_class = class_of_coroutines()


async def call_here(function, args, kwargs):
    result = function(*args, **kwargs)
    return await result if hasattr(result, "__await__") else result


async def items_of(value):
    if not hasattr(type(value), "__next__"):
        yield value
        return
    try:
        for item in value:
            yield item
    finally:
        if hasattr(value, "close"):
            value.close()


async def pump(value, send):
    if not hasattr(type(value), "__aiter__"):
        value = await value
    items = value.__aiter__() if hasattr(type(value), "__aiter__") else items_of(value)
    try:
        while True:
            try:
                item = await items.__anext__()
            except StopAsyncIteration:
                break
            gate = send(item)
            del item
            if gate is True:
                await asyncio.sleep(0)
            elif gate is not None:
                await gate
    finally:
        if hasattr(items, "aclose"):
            await items.aclose()


def open_gate(gate):
    if not gate.done():
        gate.set_result(None)


def new_loop(kind):
    if kind == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def run_in_thread(loop):
    def run():
        asyncio.set_event_loop(loop)
        while not loop.is_closed():
            keep_running(loop)

    sys.setswitchinterval(0.0005)
    threading.Thread(target=run, name="erlang-loop", daemon=True).start()


def keep_running(loop):
    try:
        loop.run_forever()
    except BaseException:
        # A task has raised SystemExit or KeyboardInterrupt, which is its result; the others go on.
        pass


def run_in_main(loop, bell, wake, turn, rung, stopping):
    asyncio.set_event_loop(loop)
    loop.add_reader(bell, rung)
    loop.add_reader(wake, loop.stop)
    loop.call_soon(turn)
    while not stopping():
        keep_running(loop)
    loop.remove_reader(bell)
    loop.remove_reader(wake)
    try:
        loop.run_until_complete(asyncio.gather(*[end() for end in erlang._at_stop], return_exceptions=True))
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
