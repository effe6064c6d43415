"""Tests of the conversions between objects and terms.

    cargo build -p py_core --features selftest
    PY_CORE_SELFTEST=target/debug/libpy_core.so python worker/core/tests/test_value.py
"""

from __future__ import annotations

import array
import collections
import dataclasses
import decimal
import enum
import gc
import importlib.util
import math
import os
import random
import sys
import tracemalloc
import types
import unittest
import uuid
from importlib.machinery import ExtensionFileLoader

import etf
from etf import Atom, Map

PATH = os.environ["PY_CORE_SELFTEST"]
LOADER = ExtensionFileLoader("_value_selftest", PATH)
SPEC = importlib.util.spec_from_loader("_value_selftest", LOADER)
core = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(core)

try:
    import numpy
except ImportError:
    numpy = None

NIL, UNDEFINED = 1, 2
NDARRAY_BINARY, UNKNOWN_REF, UNKNOWN_ERROR = 1 << 2, 1 << 3, 2 << 3
BINARY_BYTES, RETURN_REF = 1 << 5, 1 << 7
OBJECT, GENERATOR = 1, 2


def up(value, options=0):
    return etf.decode(*core.encode(value, options))


def down(value, options=0, blobs=None):
    return core.decode(etf.encode(value), options, blobs)


class Case(unittest.TestCase):
    def refuses(self, reason, function, *args):
        with self.assertRaises(core.Refused) as caught:
            function(*args)
        self.assertEqual(etf.decode(caught.exception.args[0]), reason)

    def refuses_object(self, name, value, options=0):
        self.refuses((Atom("unsupported_object"), name.encode()), core.encode, value, options)

    def same(self, left, right):
        """Equal, and of the same types all the way down."""
        self.assertIs(type(left), type(right))
        if isinstance(left, (list, tuple)):
            self.assertEqual(len(left), len(right))
            for pair in zip(left, right):
                self.same(*pair)
        elif isinstance(left, dict):
            self.assertEqual(len(left), len(right))
            for (key, value), (other_key, other) in zip(left.items(), right.items()):
                self.same(key, other_key)
                self.same(value, other)
        elif isinstance(left, float) and math.isnan(left):
            self.assertTrue(math.isnan(right))
        else:
            self.assertEqual(left, right)
            if isinstance(left, float):
                self.assertEqual(math.copysign(1, left), math.copysign(1, right))


class Down(Case):
    """Terms to objects."""

    def test_scalars(self):
        for value in (None, True, False, 0, 255, 256, -1, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63), 0.0, -0.0, 1e300, -2.5):
            self.same(down(value), value)
        for value in (math.inf, -math.inf, math.nan):
            self.same(down(value), value)

    def test_big_integers(self):
        for bits in (64, 65, 2040, 2041, 10_000, 1_000_000):
            for value in (1 << bits, -(1 << bits), (1 << bits) - 1, -(1 << bits) + 1):
                self.same(down(value), value)

    def test_atoms(self):
        for name, value in (("none", None), ("nil", None), ("undefined", None), ("true", True), ("false", False), ("ok", "ok"), ("", ""), ("größe", "größe")):
            self.same(down(Atom(name)), value)

    def test_binaries(self):
        for text in ("", "abc", "grüße", "x" * 100, "\N{SNOWMAN}" * 50, "\0"):
            self.same(down(text), text)
            self.same(down(text, BINARY_BYTES), text.encode())
        for data in (b"\xff", b"\xed\xa0\x80", b"a" * 100 + b"\xc3", b"\xc0\x80"):
            self.same(down(data), data)
        self.same(down(etf.raw_bytes(b"abc")), b"abc")
        self.same(down(etf.Tagged(b"\x09\x03\x00\x00\x00abc")), "abc")

    def test_containers(self):
        value = [[], (), {}, [1, [2, (3, {"a": [4], 5: (6,)})]], list(range(300)), tuple(range(300)), {(1, "x"): {"y": ()}}]
        self.same(down(value), value)
        self.same(down(etf.Tagged(b"\x6b\x00\x03abc")), [97, 98, 99])
        self.same(down(etf.Tagged(b"\x07" + etf.encode(("bytes", "x")))), ("bytes", "x"))
        self.same(down([etf.Tagged(b"\x07" + etf.encode(())), 1]), [(), 1])
        self.same(down(etf.Tagged(b"\x6c\0\0\0\0\x6a")), [])

    def test_keys_of_maps(self):
        for _ in range(4):
            self.same(down({"name": 1, Atom("age"): 2, b"\xff": 3}), {"name": 1, "age": 2, b"\xff": 3})
        first, second, third = (next(iter(down({"a_certain_key": 1}))) for _ in range(3))
        self.assertEqual(first, "a_certain_key")
        self.assertIs(second, third)
        self.assertIs(third, sys.intern("a_certain_key"))

    def test_colliding_keys(self):
        duplicate = Atom("unsupported_term"), (Atom("duplicate_key"),)
        pairs = [(1, 1.0), (1.0, 1), (True, 1), (0, False), (Atom("a"), b"a"), (b"a", Atom("a")), ((1, (b"x",)), (1.0, (Atom("x"),))), (Atom("nil"), Atom("none"))]
        for first, second in pairs:
            reason = (duplicate[0], (Atom("duplicate_key"), second))
            self.refuses(reason, down, Map([("z", [1, 2]), (first, 1), (second, 2), ("y", 3)]))
            self.refuses(reason, down, [Map([(first, 1), (second, 2)])])

    def test_unhashable_keys(self):
        for key in ([1], Map([(1, [2])]), (1, [2.5, Atom("x")]), (b"k", (Map([]),)), [97] * 300):
            self.refuses((Atom("unsupported_term"), key), down, Map([(0, {}), (key, 1)]))
        key = etf.Tagged(b"\x68\x02" + etf.blob(3, 2, 3).encoded + etf.encode([]))
        self.refuses((Atom("unsupported_term"), (b"cde", [])), core.decode, etf.encode(Map([(key, 1)])), 0, b"abcdef")

    def test_opaque(self):
        for kind, name in ((1, "Pid"), (2, "Ref"), (3, "Port"), (4, "Fun")):
            value, same, other = (down(etf.opaque(kind, data)) for data in (b"one", b"one", b"two"))
            self.assertIs(type(value), getattr(core, name))
            self.assertEqual((value, hash(value)), (same, hash(same)))
            self.assertNotEqual(value, other)
            self.assertNotEqual(value, down(etf.opaque(kind % 4 + 1, b"one")))
            self.assertEqual({value: 1}[same], 1)
            self.assertTrue(repr(value).startswith(f"<erlang.{name} "), repr(value))
            self.assertEqual(up([value]), [("opaque", kind, b"one")])
            with self.assertRaises(TypeError):
                type(value)()

    def test_blobs(self):
        area = b"....text" + b"\xff\xfe" + b"x" * 20_000
        self.same(down(etf.blob(1, 4, 4), 0, area), b"text")
        self.same(down(etf.blob(2, 4, 4), 0, area), "text")
        self.same(down(etf.blob(3, 4, 4), 0, area), "text")
        self.same(down(etf.blob(3, 4, 4), BINARY_BYTES, area), b"text")
        self.same(down(etf.blob(3, 8, 2), 0, area), b"\xff\xfe")
        self.same(down([etf.blob(3, 10, 20_000), 1], 0, area), ["x" * 20_000, 1])
        for offset, length in ((0, len(area) + 1), (len(area), 1), (2**64 - 1, 2), (2**64 - 8, 2**64 - 1)):
            for kind in (1, 2, 3, 4):
                with self.assertRaises(core.Refused):
                    down(etf.blob(kind, offset, length), 0, area)
        with self.assertRaises(core.Refused):
            down(etf.blob(4, 0, 0))
        self.assertEqual(core.leases(), 0)

    def test_buffers(self):
        area = b"0123456789" * 2000
        view = down(etf.blob(4, 3, 5), 0, area)
        self.assertIs(type(view), memoryview)
        self.assertTrue(view.readonly)
        self.assertEqual(view, b"34567")
        with self.assertRaises(TypeError):
            view[0] = 1
        self.assertEqual(core.leases(), 1)
        piece, copy = view[1:3], bytes(view)
        exporter = view.obj
        del view
        gc.collect()
        self.assertEqual((core.leases(), piece.tobytes(), copy), (1, b"45", b"34567"))
        piece.release()
        self.assertEqual(core.leases(), 1)
        with self.assertRaises(TypeError):
            type(exporter)()
        del exporter
        gc.collect()
        self.assertEqual(core.leases(), 0)
        views = down([etf.blob(4, 0, 4), etf.blob(4, 4, 4)], 0, area)
        self.assertEqual((core.leases(), hash(views[0])), (1, hash(b"0123")))
        first = memoryview(views[0])
        del views
        self.assertEqual((core.leases(), first.tobytes()), (1, b"0123"))
        self.assertEqual(up(first), b"0123")
        del first
        self.assertEqual(core.leases(), 0)

    @unittest.skipUnless(numpy, "needs numpy")
    def test_arrays(self):
        data = numpy.arange(6, dtype="int32")
        value = down(etf.ndarray("int32", (2, 3), etf.raw_bytes(data.tobytes())))
        self.assertIs(type(value), numpy.ndarray)
        self.assertEqual((value.dtype, value.tolist()), (numpy.dtype("int32"), [[0, 1, 2], [3, 4, 5]]))
        value[0, 0] = 7
        blob = down([etf.ndarray("<f8", (), etf.blob(1, 8, 8))], 0, b"x" * 8 + numpy.float64(2.5).tobytes())
        self.assertEqual((blob[0].shape, float(blob[0])), ((), 2.5))
        self.assertEqual(down(etf.ndarray("float32", (0, 4), etf.raw_bytes(b""))).shape, (0, 4))
        for dtype, shape, data in (("f8", (2,), b"1234567"), ("f8", (1,), b"1" * 16), ("nonsense", (1,), b"1"), ("O", (1,), b"1" * 8), ("f8", (2**63, 2**63), b"")):
            with self.assertRaises((TypeError, ValueError)):
                down(etf.ndarray(dtype, shape, etf.raw_bytes(data)))

    @unittest.skipIf(numpy, "needs an interpreter without numpy")
    def test_arrays_without_numpy(self):
        view = down(etf.ndarray("int32", (1,), etf.raw_bytes(b"abcd")))
        self.assertEqual((type(view), view.tobytes()), (memoryview, b"abcd"))

    def test_deep(self):
        depth = 100_000
        value = down(etf.Tagged(b"\x6c\0\0\0\x01" * depth + b"\x01" + b"\x6a" * depth))
        for _ in range(depth):
            self.assertEqual(len(value), 1)
            value = value[0]
        self.assertIsNone(value)
        with self.assertRaises(core.Refused):
            down(etf.Tagged(b"\x68\x01" * depth))

    def test_wide(self):
        value = list(range(-500_000, 500_000))
        self.assertEqual(down(value), value)

    def test_calls(self):
        def function(*args, **kwargs):
            return args, kwargs

        self.assertEqual(core.call(math.sqrt, etf.call_args([16.0])), 4.0)
        self.assertEqual(core.call(function, etf.call_args([])), ((), {}))
        args, kwargs = [1, "x", [2.5], None], {"a": 1, "größe": {"b": [2]}}
        self.assertEqual(core.call(function, etf.call_args(args, kwargs)), (tuple(args), kwargs))
        self.assertEqual(core.call(str.upper, etf.call_args(["abc"])), "ABC")
        for data in (b"", b"\x02\0\0\0\x01", etf.call_args([1])[:-1], etf.call_args([1], {"a": 2})[:-1]):
            with self.assertRaises(core.Refused):
                core.call(function, data)

    def test_hostile_bytes(self):
        rng = random.Random(5)
        tags = [1, 2, 4, 7, 8, 9, 10, 11, 12, 13, 70, 97, 98, 104, 105, 106, 107, 108, 109, 110, 111, 116, 118, 119]
        for _ in range(30_000):
            data = bytearray(rng.choice(tags) if rng.random() < 0.5 else rng.choice((0, 0, 0, 1, 2, 255)) for _ in range(rng.randrange(1, 40)))
            try:
                core.decode(bytes(data), rng.choice((0, BINARY_BYTES)), b"blobs" if rng.random() < 0.5 else None)
            except (core.Refused, TypeError, ValueError, OverflowError, MemoryError):
                pass
        valid = etf.encode({"a": [1, 2.5, (None, "x" * 30)], 7: {b"\xff": 2**70}})
        for _ in range(30_000):
            data = bytearray(valid)
            data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                core.decode(bytes(data[: rng.randrange(1, len(data) + 1)]))
            except (core.Refused, TypeError, ValueError):
                pass
        self.assertEqual(core.leases(), 0)


class Up(Case):
    """Objects to terms."""

    def test_scalars(self):
        for value in (None, True, False, 0, 255, 256, -1, 2**31, 2**63 - 1, -(2**63), 0.0, -0.0, 1e300, math.inf, -math.inf, math.nan):
            self.same(up(value), value)
        self.same(up(None, NIL), Atom("nil"))
        self.same(up([None], UNDEFINED), [Atom("undefined")])
        for bits in (63, 64, 65, 2040, 2041, 10_000, 1_000_000):
            for value in (1 << bits, -(1 << bits), (1 << bits) - 1, -(1 << bits) + 1):
                self.same(up(value), value)
        largest = 1 << 33_554_367
        self.same(up(largest), largest)
        self.refuses_object("int", [largest << 1])

    def test_texts(self):
        for text in ("", "abc", "grüße", "\N{SNOWMAN}" * 10_000, "x" * 20_000, "\0"):
            self.same(up(text), text.encode())
            self.same(up([text]), [text.encode()])
        self.same(up(b"a\xffb".decode("utf-8", "surrogateescape")), b"a\xffb")
        self.refuses_object("str", "\ud800")
        self.refuses_object("str", ["\ud800"])
        self.same(up([core.atom("ok"), core.atom("größe")]), [Atom("ok"), Atom("größe")])
        self.same(up([core.atom("true"), core.atom("none")]), [True, None])
        self.same(up([core.atom("none"), None], NIL), [Atom("none"), Atom("nil")])
        self.refuses_object("duplicate_key", {core.atom("nil"): 1, None: 2}, NIL)
        self.same(up(core.atom("x" * 255)), Atom("x" * 255))
        self.same(up(core.atom("ü" * 255)), Atom("ü" * 255))

    def test_atom_class(self):
        atom = core.atom("abc")
        self.assertEqual((atom, hash(atom), repr(atom), str(atom), isinstance(atom, str)), ("abc", hash("abc"), "erlang.atom('abc')", "abc", True))
        for wrong in ((), (1,), (b"x",), (b"x", "utf-8")):
            with self.assertRaises(TypeError):
                core.atom(*wrong)
        with self.assertRaises(TypeError):
            core.atom(name="a")
        with self.assertRaises(ValueError):
            core.atom("x" * 256)
        self.refuses_object("atom", core.atom.__new__(core.atom, "x" * 256))

    def test_buffers(self):
        data = bytes(range(256)) * 100
        for size in (0, 1, 100, 16_383, 16_384, 25_000):
            for kind in (bytes, bytearray, memoryview):
                self.same(up(kind(data[:size])), data[:size])
        self.same(up(memoryview(data)[::3]), data[::3])
        self.same(up(memoryview(array.array("i", [1, 2, 3])).cast("B").cast("i", (3,))), array.array("i", [1, 2, 3]).tobytes())
        released = memoryview(b"abc")
        released.release()
        with self.assertRaises(ValueError):
            core.encode(released)
        terms, area = core.encode([bytearray(data), b"x" * 20_000, "y" * 20_000])
        self.assertLess(len(terms), 100)
        self.assertEqual(etf.decode(terms, area), [data, b"x" * 20_000, b"y" * 20_000])
        mutable = bytearray(20_000)
        core.encode(mutable)
        mutable.append(1)

    def test_containers(self):
        value = [[], (), [1, [2, (3, [4])]], list(range(300)), tuple(range(300))]
        self.same(up(value), value)
        self.same(up({}), Map())
        self.same(up({"a": {"b": [1]}, (1, 2): None}), Map([(b"a", Map([(b"b", [1])])), ((1, 2), None)]))
        for listed in (range(5), {1: 2}.keys(), {1: 2}.values(), {1: 2}.items(), collections.deque([1, (2,)]), array.array("d", [1.5, 2.5]), {7}, frozenset([7]), collections.OrderedDict(a=1).keys()):
            self.same(up(listed), [item.encode() if isinstance(item, str) else item for item in listed])
        self.same(up(types.MappingProxyType({"a": [1]})), Map([(b"a", [1])]))
        self.same(up(collections.OrderedDict([("b", 1), ("a", 2)])), Map([(b"b", 1), (b"a", 2)]))

    def test_subclasses(self):
        class Level(enum.IntEnum):
            HIGH = 3

        class Text(str):
            __slots__ = ()

            def __str__(self):
                raise RuntimeError

        class Number(float):
            pass

        class Items(list):
            def __iter__(self):
                raise RuntimeError

        class Bag(set):
            def __iter__(self):
                raise RuntimeError

        class Huge(int):
            def to_bytes(self, *args):
                raise RuntimeError

            bit_length = __neg__ = to_bytes

        point = collections.namedtuple("point", "x y")
        self.same(up([Level.HIGH, Text("t"), Number(1.5), Items([1]), Bag([2]), point(1, 2)]), [3, b"t", 1.5, [1], [2], (1, 2)])
        self.same(up([Huge(2**70), Huge(-(2**70)), Huge(5)]), [2**70, -(2**70), 5])
        self.same(up(collections.defaultdict(list, a=[1])), Map([(b"a", [1])]))
        self.same(up({Level.HIGH: 1, Text("t"): 2}), Map([(3, 1), (b"t", 2)]))

    def test_everything_else(self):
        class Colour(enum.Enum):
            RED = 1

        @dataclasses.dataclass
        class Data:
            x: int

        class Fails:
            def __str__(self):
                raise KeyError("no text")

        values = [Colour.RED, Data(1), decimal.Decimal("1.50"), uuid.UUID(int=1), 1 + 2j, len, Colour, object, ...]
        self.same(up(values), [str(value).encode() for value in values])
        self.same(up(Colour.RED), b"Colour.RED")
        self.refuses_object("Data", [Data(1)], UNKNOWN_ERROR)
        with self.assertRaises(KeyError):
            core.encode([1, Fails()])
        with self.assertRaises(KeyError):
            core.encode({Fails(): 1})

    def test_iterators(self):
        async def letters():
            yield "a"

        for iterator in ((x for x in ()), map(str, [1]), letters()):
            for options in (0, UNKNOWN_REF, UNKNOWN_ERROR):
                kind, ident = self.handle(up(iterator, options))
                self.assertEqual(kind, GENERATOR)
                self.assertIs(down(etf.handle(kind, ident)), iterator)
                core.release([ident])
        iterator = iter([1])
        self.same(up([iterator]), [str(iterator).encode()])
        self.assertEqual(core.kept(), 0)

    def handle(self, value):
        self.assertIsInstance(value, etf.Handle)
        return value

    def test_handles(self):
        for value in (None, 1, "a", [1], (x for x in ()), object()):
            kind, ident = self.handle(up(value, RETURN_REF))
            self.assertEqual(kind, OBJECT)
            self.assertIs(down(etf.handle(kind, ident)), value)
            self.assertIs(down([etf.handle(GENERATOR, ident)])[0], value)
            core.release([ident])
            self.refuses_handle(ident)
        thing = object()
        plain, (kind, ident), nested = up([1, thing, {"k": thing}], UNKNOWN_REF)
        self.assertEqual((plain, kind), (1, OBJECT))
        ((_, (_, other)),) = nested
        self.assertNotEqual(other, ident)
        self.assertIs(down(etf.handle(kind, other)), thing)
        self.assertEqual(core.kept(), 2)
        core.release([ident, ident, other, 0, 2**64 - 1])
        self.assertEqual(core.kept(), 0)

    def refuses_handle(self, ident):
        with self.assertRaises(core.Refused) as caught:
            down(etf.handle(OBJECT, ident))
        reason = etf.decode(caught.exception.args[0])
        self.assertEqual(reason[0], Atom("badarg"))
        self.assertIn(b"released", reason[1])

    def test_slots_are_used_again_but_ids_are_not(self):
        seen = set()
        for _ in range(1000):
            _, ident = up(object(), RETURN_REF)
            self.assertNotIn(ident, seen)
            seen.add(ident)
            core.release([ident])
        self.assertLessEqual(max(ident & 0xFFFFFFFF for ident in seen), 20)
        self.assertEqual(core.kept(), 0)
        _, alive = up(object(), RETURN_REF)
        for ident in (*seen, alive + (1 << 32), alive - (1 << 32), 0, 2**64 - 1):
            self.refuses_handle(ident)
        core.release([*seen, alive + (1 << 32)])
        self.assertEqual(core.kept(), 1)
        core.release([alive])

    def test_a_failed_encoding_keeps_nothing(self):
        cycle = [object()]
        cycle.append(cycle)

        self.refuses_object("cycle", cycle, UNKNOWN_REF)
        self.refuses_object("duplicate_key", [object(), {"a": object(), b"a": 2}], UNKNOWN_REF)
        self.assertEqual(core.kept(), 0)

    def test_objects_are_let_go(self):
        class Thing:
            def __init__(self, gone):
                self.gone = gone

            def __del__(self):
                # The table may be used while one of its objects goes.
                _, inner = up(object(), RETURN_REF)
                core.release([inner])
                self.gone.append(1)

        gone = []
        idents = [up(Thing(gone), RETURN_REF)[1] for _ in range(10)]
        gc.collect()
        self.assertEqual(gone, [])
        core.release(idents)
        self.assertEqual(len(gone), 10)
        self.assertEqual(core.kept(), 0)

    def test_a_key_that_is_refused_gets_a_handle_of_its_own(self):
        unhashable = [1]
        kind, ident = up(unhashable, RETURN_REF)
        with self.assertRaises(core.Refused) as caught:
            down([etf.handle(kind, ident), Map([(1, 2), (etf.handle(kind, ident), 2)])])
        tag, (_, shown) = etf.decode(caught.exception.args[0])
        self.assertEqual(tag, Atom("unsupported_term"))
        self.assertNotEqual(shown, ident)
        self.assertEqual(core.kept(), 2)
        core.release([shown])
        self.assertIs(down(etf.handle(kind, ident)), unhashable)
        core.release([ident])

    def test_colliding_keys(self):
        class Identity(str):
            __hash__ = object.__hash__

            def __eq__(self, other):
                return self is other

        escaped = "é".encode().decode("ascii", "surrogateescape")
        collisions = [
            {"a": 1, b"a": 2},
            {(1, "a"): 1, (1, b"a"): 2},
            {math.nan: 1, float("nan"): 2},
            {decimal.Decimal("0.5"): 1, "0.5": 2},
            {Identity("x"): 1, Identity("x"): 2},
            {"x": 1, Identity("x"): 2},
            {"é": 1, escaped: 2},
            {"x" * 20_000: 1, b"x" * 20_000: 2},
            {range(2): 1, frozenset([0, 1]): 2},
            {b"k": 1, "z": 2, "k": 3},
            {core.atom("true"): 1, True: 2},
            {core.atom("none"): 1, None: 2},
            {core.atom("nan"): 1, math.nan: 2},
            {core.atom("infinity"): 1, math.inf: 2},
        ]
        for value in collisions:
            self.refuses_object("duplicate_key", value)
            self.refuses_object("duplicate_key", [{"outer": (value,)}])
            self.refuses_object("duplicate_key", {"k": value, "l": 1})
        fine = {"a": 1, b"b": 2, 1: 3, 2.5: 4, None: 5, "t": 6, (1, "a"): {"a": 1}, ("a", 1): {b"a": 1}, math.nan: 7, frozenset([(1, 2)]): 8}
        self.assertEqual(len(up(fine)), len(fine))
        many = {(i, str(i)): {i: i} for i in range(1000)}
        self.assertEqual(up(many), Map(((i, str(i).encode()), Map([(i, i)])) for i in range(1000)))

    def test_cycles(self):
        cycle = (Atom("unsupported_object"), b"cycle")
        direct = []
        direct.append(direct)
        table = {}
        table["self"] = types.MappingProxyType(table)
        deque = collections.deque()
        deque.append([deque])
        views = {}
        views["v"] = [views.values()]
        ring = []
        for _ in range(50_000):
            ring = [ring]
        innermost = ring
        while innermost[0]:
            innermost = innermost[0]
        innermost[0].append(ring)
        for value in (direct, [1, (direct,)], table, deque, views, ring):
            self.refuses(cycle, core.encode, value)
        innermost[0].clear()
        shared = [1]
        self.same(up([shared, (shared, shared), {"a": shared}]), [[1], ([1], [1]), Map([(b"a", [1])])])

    def test_deep(self):
        depth = 100_000
        lists, tuples, dicts = [], (), {}
        for _ in range(depth):
            lists, tuples, dicts = [lists], (tuples,), {"k": dicts}
        self.assertEqual(core.encode(lists)[0], b"\x6c\0\0\0\x01" * depth + b"\x6a" * (depth + 1))
        self.assertEqual(core.encode(tuples)[0], b"\x68\x01" * depth + b"\x68\0")
        self.assertEqual(len(core.encode(dicts)[0]), 11 * depth + 5)
        copy = core.decode(core.encode(dicts)[0])
        for _ in range(depth):
            copy = copy["k"]
        self.assertEqual(copy, {})

    def test_wide(self):
        value = [i * 7919 for i in range(1_000_000)]
        self.assertEqual(core.decode(core.encode(value)[0]), value)

    def test_mutation_while_encoding(self):
        class Mutates:
            def __init__(self, action):
                self.action = action

            def __str__(self):
                self.action()
                return "x"

        for action in ("clear", "pop"):
            items = []
            items.extend([[1], Mutates(getattr(items, action)), [2], [3]])
            with self.assertRaises(RuntimeError):
                core.encode(items)
        items = []
        items.extend([Mutates(lambda: items.append(1)), 2])
        with self.assertRaises(RuntimeError):
            core.encode(items)
        table = {"a": 1}
        table.update(b=Mutates(table.clear), c=[1], d=2)
        with self.assertRaises(RuntimeError):
            core.encode(table)
        table = {}

        def swap():
            del table["a"]
            table["new"] = 1

        table.update(a=1, b=Mutates(swap), c=2)
        try:
            pairs = etf.decode(core.encode(table)[0])
            self.assertEqual(len({key for key, _ in pairs}), len(pairs))
        except (RuntimeError, core.Refused):
            pass

    @unittest.skipUnless(numpy, "needs numpy")
    def test_numpy(self):
        scalars = [numpy.int64(-5), numpy.uint64(2**64 - 1), numpy.float32(1.5), numpy.float64(2.5), numpy.float16(0.5), numpy.longdouble(1.25), numpy.bool_(True), numpy.str_("s"), numpy.bytes_(b"b")]
        self.same(up(scalars), [-5, 2**64 - 1, 1.5, 2.5, 0.5, 1.25, True, b"s", b"b"])
        for other in (numpy.timedelta64(5, "s"), numpy.datetime64("2020-01-01"), numpy.complex64(1)):
            self.same(up(other), str(other).encode())
        self.same(up(numpy.arange(6).reshape(2, 3)), [[0, 1, 2], [3, 4, 5]])
        self.same(up(numpy.array(2.5)), 2.5)
        self.same(up(numpy.array([])), [])
        self.same(up(numpy.array([[1, None], ["x", 2.5]], dtype=object)), [[1, None], [b"x", 2.5]])
        nested = numpy.empty(1, dtype=object)
        nested[0] = nested
        self.refuses((Atom("unsupported_object"), b"cycle"), core.encode, nested)
        scalar = numpy.array(None, dtype=object)
        self.same(up(scalar), str(scalar).encode())
        self.refuses_object("duplicate_key", {numpy.int64(1): 1, "1": 2, numpy.datetime64("2020-01-01"): 3, "2020-01-01": 4})

    @unittest.skipUnless(numpy, "needs numpy")
    def test_numpy_binary(self):
        arrays = [numpy.arange(6, dtype="int16").reshape(2, 3), numpy.arange(6.0)[::2], numpy.asfortranarray(numpy.arange(6).reshape(2, 3)), numpy.zeros((100, 100)), numpy.array(1.5), numpy.zeros((0, 3), dtype="uint8"), numpy.array([True]), numpy.array([1], dtype=">i4"), numpy.array(["2020-01-01"], dtype="datetime64[D]"), numpy.array(["ab"])]
        for array_ in arrays:
            kind, dtype, shape, data = up(array_, NDARRAY_BINARY)
            self.assertEqual((kind, shape, data), ("ndarray", array_.shape, array_.tobytes()))
            self.assertEqual(numpy.dtype(dtype), array_.dtype)
            copy = down(etf.ndarray(dtype, shape, etf.raw_bytes(data)))
            self.assertTrue((copy == array_).all())
        self.assertEqual(up(arrays[0], NDARRAY_BINARY)[1], "int16")
        self.assertEqual(up(numpy.array([None, 1]), NDARRAY_BINARY), [None, 1])


class Both(Case):
    """Properties of random values, and leaks."""

    def value(self, rng, depth=0):
        kinds = 11 if depth < 4 else 7
        kind = rng.randrange(kinds)
        if kind == 0:
            return rng.choice((None, True, False))
        if kind == 1:
            return rng.randrange(-300, 300)
        if kind == 2:
            return rng.getrandbits(rng.choice((31, 33, 63, 64, 100, 3000))) * rng.choice((1, -1))
        if kind == 3:
            return rng.choice((rng.random(), -rng.random() * 1e200, 0.0, math.inf))
        if kind in (4, 5):
            return "".join(chr(rng.choice((97, 98, 233, 0x2603, 0x1F40D))) for _ in range(rng.choice((0, 1, 5, 40))))
        if kind == 6:
            return b"\xff" + bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
        size = rng.choice((0, 1, 3, 8))
        if kind in (7, 8):
            return [self.value(rng, depth + 1) for _ in range(size)]
        if kind == 9:
            return tuple(self.value(rng, depth + 1) for _ in range(size))
        return {self.key(rng): self.value(rng, depth + 1) for _ in range(size)}

    def key(self, rng):
        return rng.choice((rng.randrange(1000), rng.random(), f"key{rng.randrange(100)}", (rng.randrange(10), "x"), None))

    def test_round_trip(self):
        rng = random.Random(11)
        for _ in range(3000):
            value = self.value(rng)
            terms, area = core.encode(value)
            self.same(core.decode(terms, 0, area), value)
            self.same(core.decode(etf.encode(value)), value)

    def test_no_leak(self):
        rng = random.Random(3)
        values = [self.value(rng) for _ in range(200)]
        values += [{"a": 1, b"a": 2}, [object(), (x for x in ())], "\ud800", bytearray(20_000), range(9), types.MappingProxyType({"a": 1}), decimal.Decimal(1), [core.atom("a")], {(1, (2,)): {3}}]
        terms = [etf.encode(v) for v in values[:200]]
        terms += [etf.encode(v) for v in (Map([((1, []), 2)]), Map([(1, 1), (1.0, [2])]), [[1, {"a": 5}], etf.opaque(1, b"x")], [etf.blob(4, 0, 4)] * 3)]
        terms += [t[:-1] for t in terms]

        def once():
            for value in values:
                try:
                    core.encode(value)
                except core.Refused:
                    pass
            for data in terms:
                try:
                    core.decode(data, 0, b"12345678")
                    core.call(dict, etf.call_args([], {"k": 1}))
                except core.Refused:
                    pass

        for _ in range(3):
            once()
        gc.collect()
        tracemalloc.start()
        once()
        gc.collect()
        # Small and empty objects are shared by the whole interpreter.
        own = [value for value in values if isinstance(value, (list, dict, bytearray)) or sys.getrefcount(value) < 5]
        self.assertGreater(len(own), 100)
        before, counts = tracemalloc.get_traced_memory()[0], [sys.getrefcount(value) for value in own]
        constants = [sys.getrefcount(value) for value in (None, True, False, "", ())]
        rounds = 20
        for _ in range(rounds):
            once()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        self.assertLess(after - before, 20_000)
        self.assertEqual(counts, [sys.getrefcount(value) for value in own])
        for old, new in zip(constants, [sys.getrefcount(value) for value in (None, True, False, "", ())]):
            self.assertLess(abs(new - old), rounds * 10)
        self.assertEqual(core.leases(), 0)


if __name__ == "__main__":
    unittest.main()
