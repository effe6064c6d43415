"""The event loop on which an ordinary worker awaits the results of calls."""

import asyncio
import sys
import threading

loop = asyncio.new_event_loop()
tasks = {}


async def result_of(awaitable):
    return await awaitable


def start(awaitable, request, done):
    def begin():
        task = tasks[request] = loop.create_task(result_of(awaitable))
        task.add_done_callback(finished)

    def finished(task):
        del tasks[request]
        done(request, task)

    loop.call_soon_threadsafe(begin)


def cancel(request):
    def begin():
        if request in tasks:
            tasks[request].cancel()

    loop.call_soon_threadsafe(begin)


def run():
    while True:
        try:
            loop.run_forever()
        except BaseException:
            # A task has raised SystemExit or KeyboardInterrupt, which is its result; the others go on.
            pass


sys.setswitchinterval(0.0005)
threading.Thread(target=run, name="erlang-loop", daemon=True).start()
