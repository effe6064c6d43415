"""The other way to reach Python from the BEAM: a port, one process, requests and replies through its pipes.

usage: port_server.py etf | pickle

A request is (module, function, arguments), a reply (True, value) or (False, text). With `etf`, terms are read and written in
plain Python, as a port program without an extension module has to; with `pickle`, the node writes and reads pickles.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable
from typing import Any

import etf
from packets import packets, send


def serve(decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]) -> None:
    functions: dict[tuple[str, str], Callable[..., Any]] = {}
    for packet in packets():
        try:
            module, function, args = decode(packet)
            found = functions.get((module, function))
            if found is None:
                found = functions[module, function] = getattr(importlib.import_module(module), function)
            reply = encode((True, found(*args)))
        except Exception as problem:
            reply = encode((False, repr(problem)))
        send(reply)


if __name__ == "__main__":
    if sys.argv[1] == "etf":
        serve(etf.decode, etf.encode)
    else:
        serve(pickle.loads, lambda value: pickle.dumps(value, 3))
