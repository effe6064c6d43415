#!/usr/bin/env python3
"""Keeps each corpus as one text file: a line of hexadecimal digits for every input.

usage: fuzz/corpus.py unpack FILE DIRECTORY | pack DIRECTORY FILE
"""

import hashlib
import pathlib
import sys


def unpack(file, directory):
    directory.mkdir(parents=True, exist_ok=True)
    for line in file.read_text().split() if file.exists() else []:
        data = bytes.fromhex(line)
        (directory / hashlib.sha1(data).hexdigest()).write_bytes(data)


def pack(directory, file):
    inputs = {path.read_bytes() for path in directory.iterdir()}
    lines = sorted((data.hex() for data in inputs if data), key=lambda line: (len(line), line))
    file.write_text("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    action, source, target = sys.argv[1:]
    {"pack": pack, "unpack": unpack}[action](pathlib.Path(source), pathlib.Path(target))
