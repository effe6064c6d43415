"""What Python itself has for calls into other processes: concurrent.futures.ProcessPoolExecutor, driven from this process.

usage: process_pool.py WORKERS

A request, as a term, is (module, function, arguments, window, warm-up in ms, duration in ms). Windows of calls are submitted and
awaited for that long; the answer is (operations, nanoseconds, longest, {bucket: count}), times per operation.
"""

from __future__ import annotations

import importlib
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter_ns
from typing import Any

import etf
from packets import packets, send

FINENESS = 64


def bucket(nanoseconds: int) -> int:
    """As py_bench_measure:bucket/1."""
    return 1 if nanoseconds < 2 else int(math.log2(nanoseconds) * FINENESS) + 1


def measure(pool: ProcessPoolExecutor, call: tuple[Any, ...], window: int, milliseconds: int) -> tuple[Any, ...]:
    counts: dict[int, int] = {}
    operations = longest = 0
    start = now = perf_counter_ns()
    end = start + milliseconds * 1_000_000
    while now < end or not operations:
        before = now
        if window == 1:
            pool.submit(*call).result()
        else:
            for future in [pool.submit(*call) for _ in range(window)]:
                future.result()
        now = perf_counter_ns()
        took = (now - before) // window
        operations += window
        longest = max(longest, took)
        place = bucket(took)
        counts[place] = counts.get(place, 0) + 1
    return operations, now - start, longest, counts


def main() -> None:
    with ProcessPoolExecutor(int(sys.argv[1])) as pool:
        for packet in packets():
            module, function, args, window, warm_up, duration = etf.decode(packet)
            call = (getattr(importlib.import_module(module), function), *args)
            measure(pool, call, window, warm_up)
            send(etf.encode(measure(pool, call, window, duration)))


if __name__ == "__main__":
    main()
