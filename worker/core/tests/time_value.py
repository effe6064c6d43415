"""Times the conversions; run like test_value.py, with a release build."""

import sys

import etf
from test_value import core

CASES = {
    "[16.0] / 4.0": ([16.0], 4.0, 2_000_000),
    "[1, 2, 3] / 6": ([1, 2, 3], 6, 2_000_000),
    "20 characters": (["x" * 20], "x" * 20, 2_000_000),
    "list of 1000 ints": ([list(range(1000, 2000))], list(range(1000, 2000)), 5000),
    "list of 1000 floats": ([[i + 0.5 for i in range(1000)]], [i + 0.5 for i in range(1000)], 5000),
    "list of 1000 strings": ([[f"text{i}" for i in range(1000)]], [f"text{i}" for i in range(1000)], 5000),
    "dict of 1000 pairs": ([{f"key{i}": i for i in range(1000)}], {f"key{i}": i for i in range(1000)}, 2000),
    "100 dicts of 5 pairs": ([[dict.fromkeys("abcde", 1)] * 100], [dict.fromkeys("abcde", 1)] * 100, 5000),
    "10,000 int keys": ([dict.fromkeys(range(10_000), 1)], dict.fromkeys(range(10_000), 1), 200),
}

print(sys.version.split()[0], "ns: decode of the arguments, encode of the result (best of 5)")
for name, (args, result, rounds) in CASES.items():
    terms = etf.call_args(args)
    decode = min(core.time_decode(terms, rounds) for _ in range(5))
    encode = min(core.time_encode(result, rounds) for _ in range(5))
    print(f"{name:24} {decode:10.1f} {encode:10.1f}")
