"""Packets of a port with option {packet, 4}: a length of four bytes, most significant first, then the data."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator


def packets(descriptor: int = 0) -> Iterator[bytes]:
    """What arrives, until the port is closed."""
    source = io.FileIO(descriptor, closefd=False)
    while (head := _exactly(source, 4)) is not None:
        data = _exactly(source, int.from_bytes(head, "big"))
        if data is None:
            return
        yield data


def send(data: bytes, descriptor: int = 1) -> None:
    """Writes one packet. Small ones with one system call."""
    head = len(data).to_bytes(4, "big")
    if len(data) < 4096:
        rest = memoryview(head + data)
    else:
        os.write(descriptor, head)
        rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _exactly(source: io.FileIO, size: int) -> bytes | None:
    if size < 4096:
        data = source.read(size) if size else b""
        if len(data) == size:
            return data
    else:
        data = b""
    buffer = bytearray(size)
    view = memoryview(buffer)
    have = len(data)
    view[:have] = data
    while have < size:
        got = source.readinto(view[have:])
        if not got:
            return None
        have += got
    return bytes(buffer)
