"""The Python side of the mixed load (py_load) and of the faults (py_faults) of the tests.

Each piece of work notes its number in a journal when it starts. Appending is atomic, and what was written outlives the process.
"""

import os
import time
import zlib

import erlang

_journal = os.open(os.environ["PY_LOAD_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _started(number):
    os.write(_journal, number.to_bytes(8, "little"))


def add(number, amount):
    _started(number)
    return number + amount


def nap(number, seconds):
    _started(number)
    time.sleep(seconds)
    return number


def check(number, data):
    _started(number)
    return zlib.crc32(data), data


def make(number, size):
    _started(number)
    data = os.urandom(1000) * (size // 1000)
    return zlib.crc32(data), data


def ask(number, times):
    _started(number)
    return [erlang.call("load_note", number, turn) for turn in range(times)]


def nest(number, depth):
    _started(number)
    inner = erlang.call("load_nest", depth - 1) if depth else -1
    return None if inner is None else 1 + inner


def tell(number, pid):
    _started(number)
    erlang.send(pid, ("told", number))
    return number


def items(number, count, size):
    _started(number)
    for item in range(count):
        yield item, bytes([item % 256]) * size


async def later(number, seconds):
    import asyncio

    _started(number)
    await asyncio.sleep(seconds)
    return number


async def ask_later(number):
    _started(number)
    return await erlang.async_call("load_note", number, 0)


async def items_later(number, count):
    import asyncio

    _started(number)
    for item in range(count):
        await asyncio.sleep(0)
        yield item


class Box:
    def __init__(self, number):
        _started(number)
        self.number = number

    def add(self, amount):
        return self.number + amount


def end(how, seconds):
    """Ends the process after a while."""
    time.sleep(seconds)
    _ENDS[how]()


def _segfault():
    import ctypes

    ctypes.string_at(0)


def _abort_in_c():
    import ctypes

    ctypes.CDLL(None).abort()


def _out_of_memory():
    """Ends where nothing can be allocated any more."""
    import resource

    pages = int(open("/proc/self/statm").read().split()[5])
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + (64 << 20), hard))
    kept = []
    try:
        while True:
            kept.append(bytearray(1 << 20))
    except MemoryError:
        os._exit(9)


_ENDS = {
    "exit": lambda: os._exit(3),
    "abort": os.abort,
    "abort_in_c": _abort_in_c,
    "segfault": _segfault,
    "out_of_memory": _out_of_memory,
    "kill": lambda: os.kill(os.getpid(), 9),
}


def absurd():
    """More memory than there is: an ordinary MemoryError."""
    return len(bytearray(1 << 60))
