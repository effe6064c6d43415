#!/usr/bin/env python3
"""The core suites on every CPython: prints the table of a run of tests/run, and keeps the one of docs/environments.md right.

usage: tests/matrix.py [--write] LOGS VERSION
LOGS is the directory of the logs: ct-default.log for the default interpreter, which has VERSION and runs other suites, too, and one
ct-VERSION.log for each of the others. The table of the documentation has a row for each minor version and a column for each core
suite; a run that does not agree with it is an error. With --write the rows of the versions that ran
are written instead; those of others stay.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "environments.md"
TABLE = re.compile(r"(<!-- matrix -->\n)(.*?)(<!-- end -->)", re.DOTALL)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def suites(log):
    """Passed, failed and skipped cases of each suite in the output of `rebar3 ct`."""
    counts, suite = {}, None
    for line in COLOUR.sub("", log.read_text(errors="replace")).splitlines():
        begins = re.match(r"%%% (\w+)_SUITE: ?(.*)", line)
        case = re.match(r"%%% (\w+)_SUITE ==> [^ ]+: (FAILED|SKIPPED)$", line)
        if begins:
            suite = counts.setdefault(begins[1], [0, 0, 0])
            line = begins[2]
        elif case:
            suite = counts.setdefault(case[1], [0, 0, 0])
            suite[1 if case[2] == "FAILED" else 2] += 1
        if suite and re.fullmatch(r"\.+", line):
            suite[0] += len(line)
    return counts


def runs(logs, default, core):
    """The core suites of each version, in the order of the versions. They are those that run on others than the default."""
    found = {log.stem[3:]: suites(log) for log in logs.glob("ct-[0-9]*.log")}
    core = {suite for counts in found.values() for suite in counts} or core
    found[default] = {suite: cases for suite, cases in suites(logs / "ct-default.log").items() if suite in core}
    return sorted(found.items(), key=lambda item: order(item[0]))


def order(version):
    """By number; 3.14t, which is free-threaded, after 3.14."""
    return [int(part) for part in version.rstrip("t").split(".")] + ["t" in version]


def verdict(counts):
    """What a cell of the documentation says."""
    passed, failed, _ = counts
    return "failed" if failed else "passed" if passed else "not run"


def documented():
    """The rows of the documentation: minor version and its cells by suite."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.search(PAGE.read_text())[2].splitlines()]
    head = [cell.strip("`") for cell in lines[0][1:]] if lines else []
    return {line[0]: dict(zip(head, line[1:])) for line in lines[2:]}


def by_minor(found):
    """Rows as in the documentation; of several interpreters of one minor version all must pass."""
    rows = {}
    for version, counts in found:
        row = rows.setdefault(".".join(version.split(".")[:2]) + "t" * ("t" in version), {})
        for suite, cases in counts.items():
            row[suite] = verdict(cases) if row.get(suite, "passed") == "passed" else row[suite]
    return rows


def table(rows):
    columns = sorted({suite for row in rows.values() for suite in row})
    lines = [["CPython"] + [f"`{suite}`" for suite in columns], ["---"] * (len(columns) + 1)]
    for version in sorted(rows, key=order):
        lines.append([version] + [rows[version].get(suite, "not run") for suite in columns])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main():
    logs, known = pathlib.Path(sys.argv[-2]), documented()
    found = runs(logs, sys.argv[-1], {suite for row in known.values() for suite in row})
    for version, counts in found:
        cells = [f"{suite} {p} passed" + f", {f} failed" * bool(f) + f", {s} skipped" * bool(s) for suite, (p, f, s) in sorted(counts.items())]
        print(f"{version:>8}: " + "; ".join(cells))
    rows = by_minor(found)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(TABLE.sub(lambda m: m[1] + table({**known, **rows}) + m[3], PAGE.read_text()))
        return 0
    wrong = [version for version, row in rows.items() if version in known and known[version] != row]
    for version in wrong:
        print(f"docs/environments.md is not right about {version}: if what failed is meant to, run tests/matrix.py --write {logs} {sys.argv[-1]}")
    print(f"{len(rows) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
