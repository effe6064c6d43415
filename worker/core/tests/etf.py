"""The term format in plain Python, to check the core's conversions against: an independent encoder and decoder."""

from __future__ import annotations

import struct
from typing import Any


class Atom(str):
    """An atom, where it has to be told from a binary."""


class Handle(tuple):
    """Kind and id of an object that a worker keeps."""


class Tagged:
    """A value with a tag that only the node writes."""

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded


def opaque(kind: int, data: bytes) -> Tagged:
    return Tagged(bytes([12, kind]) + struct.pack("<I", len(data)) + data)


def blob(kind: int, offset: int, length: int) -> Tagged:
    return Tagged(struct.pack("<BBQQ", 10, kind, offset, length))


def handle(kind: int, ident: int) -> Tagged:
    return Tagged(struct.pack("<BBQ", 13, kind, ident))


def raw_bytes(data: bytes) -> Tagged:
    return Tagged(b"\x08" + struct.pack("<I", len(data)) + data)


def ndarray(dtype: str, shape: tuple[int, ...], data: Tagged) -> Tagged:
    head = struct.pack("<BH", 11, len(dtype)) + dtype.encode() + bytes([len(shape)])
    return Tagged(head + b"".join(struct.pack("<Q", n) for n in shape) + data.encoded)


def integer(value: int) -> bytes:
    if 0 <= value < 256:
        return bytes([97, value])
    if -(2**31) <= value < 2**31:
        return struct.pack(">Bi", 98, value)
    size = (abs(value).bit_length() + 7) // 8
    head = bytes([110, size]) if size < 256 else struct.pack(">BI", 111, size)
    return head + bytes([value < 0]) + abs(value).to_bytes(size, "little")


class Map(list):
    """A map as a list of pairs, so that its keys may be anything."""


def encode(value: Any) -> bytes:
    if isinstance(value, Tagged):
        return value.encoded
    if value is None:
        return b"\x01"
    if isinstance(value, bool):
        return b"\x02" if value else b"\x03"
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        if value != value:
            return b"\x04"
        if value in (float("inf"), float("-inf")):
            return b"\x05" if value > 0 else b"\x06"
        return struct.pack(">Bd", 70, value)
    if isinstance(value, Atom):
        return bytes([119, len(value.encode())]) + value.encode()
    if isinstance(value, str):
        return encode(value.encode())
    if isinstance(value, bytes):
        return struct.pack(">BI", 109, len(value)) + value
    if isinstance(value, tuple):
        count = len(value)
        head = bytes([104, count]) if count < 256 else struct.pack(">BI", 105, count)
        return head + b"".join(map(encode, value))
    if isinstance(value, Map):
        body = b"".join(encode(k) + encode(v) for k, v in value)
        return struct.pack(">BI", 116, len(value)) + body
    if isinstance(value, dict):
        return encode(Map(value.items()))
    if isinstance(value, list):
        if not value:
            return b"\x6a"
        return struct.pack(">BI", 108, len(value)) + b"".join(map(encode, value)) + b"\x6a"
    raise TypeError(type(value))


def name(text: str) -> bytes:
    return struct.pack("<H", len(text.encode())) + text.encode()


def call_args(args: list, kwargs: dict | None = None) -> bytes:
    pairs = kwargs or {}
    body = b"".join(name(key) + encode(value) for key, value in pairs.items())
    return (
        struct.pack("<I", len(args)) + b"".join(map(encode, args)) + struct.pack("<I", len(pairs)) + body
    )


def decode(data: bytes, blobs: bytes = b"") -> Any:
    """Reads what the core writes: binaries as `bytes`, lists as lists, maps as `Map`, atoms as `Atom`."""
    value, rest = _decode(data, blobs)
    if rest:
        raise ValueError(f"{len(rest)} bytes left")
    return value


def _decode(data: bytes, blobs: bytes) -> tuple[Any, bytes]:
    tag, data = data[0], data[1:]
    constants = {1: None, 2: True, 3: False, 4: float("nan"), 5: float("inf"), 6: float("-inf"), 106: []}
    if tag in constants:
        value = constants[tag]
        return (list(value) if isinstance(value, list) else value), data
    if tag == 97:
        return data[0], data[1:]
    if tag == 98:
        return struct.unpack(">i", data[:4])[0], data[4:]
    if tag in (110, 111):
        size, data = (data[0], data[1:]) if tag == 110 else (struct.unpack(">I", data[:4])[0], data[4:])
        value = int.from_bytes(data[1 : 1 + size], "little")
        return (-value if data[0] else value), data[1 + size :]
    if tag == 70:
        return struct.unpack(">d", data[:8])[0], data[8:]
    if tag == 119:
        return Atom(data[1 : 1 + data[0]].decode()), data[1 + data[0] :]
    if tag == 118:
        size = struct.unpack(">H", data[:2])[0]
        return Atom(data[2 : 2 + size].decode()), data[2 + size :]
    if tag == 109:
        size = struct.unpack(">I", data[:4])[0]
        return data[4 : 4 + size], data[4 + size :]
    if tag == 8:
        size = struct.unpack("<I", data[:4])[0]
        return data[4 : 4 + size], data[4 + size :]
    if tag == 10:
        _kind, offset, size = struct.unpack("<BQQ", data[:17])
        return blobs[offset : offset + size], data[17:]
    if tag == 12:
        size = struct.unpack("<I", data[1:5])[0]
        return ("opaque", data[0], data[5 : 5 + size]), data[5 + size :]
    if tag == 13:
        return Handle(struct.unpack("<BQ", data[:9])), data[9:]
    if tag == 11:
        size = struct.unpack("<H", data[:2])[0]
        dtype, data = data[2 : 2 + size].decode(), data[2 + size :]
        shape = struct.unpack(f"<{data[0]}Q", data[1 : 1 + 8 * data[0]])
        contents, data = _decode(data[1 + 8 * data[0] :], blobs)
        return ("ndarray", dtype, shape, contents), data
    if tag in (104, 105, 108, 116):
        count, data = (data[0], data[1:]) if tag == 104 else (struct.unpack(">I", data[:4])[0], data[4:])
        items = []
        for _ in range(count * 2 if tag == 116 else count):
            item, data = _decode(data, blobs)
            items.append(item)
        if tag == 108:
            if data[0] != 106:
                raise ValueError("no proper tail")
            return items, data[1:]
        if tag == 116:
            return Map(zip(items[::2], items[1::2])), data
        return tuple(items), data
    raise ValueError(f"unknown tag {tag}")
