"""Erlang's External Term Format in plain Python, as far as the comparisons need it."""

from __future__ import annotations

import struct
from typing import Any

_float = struct.Struct(">d")
_int = struct.Struct(">i")
_size = struct.Struct(">I")


class Atom(str):
    """A string that is written as an atom."""


def decode(data: bytes) -> Any:
    """Value of a term with its version byte: binaries become bytes, atoms strings, tuples, lists and maps themselves."""
    if data[0] != 131:
        raise ValueError("could not decode: not a term")
    return _decode(data, 1)[0]


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    tag = data[at]
    at += 1
    if tag == 97:
        return data[at], at + 1
    if tag == 98:
        return _int.unpack_from(data, at)[0], at + 4
    if tag == 70:
        return _float.unpack_from(data, at)[0], at + 8
    if tag == 109:
        end = at + 4 + _size.unpack_from(data, at)[0]
        return data[at + 4 : end], end
    if tag in (119, 115):
        end = at + 1 + data[at]
        return _constant(data[at + 1 : end]), end
    if tag in (118, 100):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        return _constant(data[at + 2 : end]), end
    if tag == 110:
        end = at + 2 + data[at]
        magnitude = int.from_bytes(data[at + 2 : end], "little")
        return -magnitude if data[at + 1] else magnitude, end
    if tag == 106:
        return [], at
    if tag == 107:
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        return list(data[at + 2 : end]), end
    if tag == 108:
        count = _size.unpack_from(data, at)[0]
        at += 4
        items = []
        for _ in range(count):
            item, at = _decode(data, at)
            items.append(item)
        if data[at] != 106:
            raise ValueError("could not decode: improper list")
        return items, at + 1
    if tag == 104:
        count = data[at]
        at += 1
        parts = []
        for _ in range(count):
            item, at = _decode(data, at)
            parts.append(item)
        return tuple(parts), at
    if tag == 116:
        count = _size.unpack_from(data, at)[0]
        at += 4
        mapping = {}
        for _ in range(count):
            key, at = _decode(data, at)
            mapping[key], at = _decode(data, at)
        return mapping, at
    raise ValueError(f"could not decode: tag {tag}")


def _constant(name: bytes) -> Any:
    if name == b"true":
        return True
    if name == b"false":
        return False
    if name == b"none":
        return None
    return name.decode()


def encode(value: Any) -> bytes:
    """A term with its version byte; str and bytes become binaries, None the atom none."""
    parts = [b"\x83"]
    _encode(value, parts.append)
    return b"".join(parts)


def _encode(value: Any, put: Any) -> None:
    kind = type(value)
    if kind is int:
        if 0 <= value < 256:
            put(bytes((97, value)))
        elif -(1 << 31) <= value < 1 << 31:
            put(b"b" + _int.pack(value))
        else:
            magnitude = abs(value)
            digits = magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "little")
            if len(digits) > 255:
                raise ValueError("could not encode: integer of more than 255 bytes")
            put(bytes((110, len(digits), value < 0)) + digits)
    elif kind is float:
        put(b"F" + _float.pack(value))
    elif kind is bytes:
        put(b"m" + _size.pack(len(value)))
        put(value)
    elif kind is str:
        _encode(value.encode(), put)
    elif kind is Atom or value is None or kind is bool:
        name = (value if kind is Atom else str(value).lower()).encode()
        put(bytes((119, len(name))) + name)
    elif kind is list:
        if value:
            put(b"l" + _size.pack(len(value)))
            for item in value:
                _encode(item, put)
        put(b"j")
    elif kind is tuple:
        put(bytes((104, len(value))))
        for item in value:
            _encode(item, put)
    elif kind is dict:
        put(b"t" + _size.pack(len(value)))
        for key, item in value.items():
            _encode(key, put)
            _encode(item, put)
    else:
        raise TypeError(f"could not encode: {kind.__name__}")
