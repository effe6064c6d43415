#!/usr/bin/env python3
"""Loads the example server and uvicorn with wrk, in turns, and prints a table in Markdown.

usage: docs/examples/http_server/load.py [--python PYTHON] [--seconds 4] [--rounds 3]
PYTHON has starlette and uvicorn; with uvloop and httptools installed uvicorn uses them. Both sides have one process with Python in it.
"""

import argparse
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
MAIN = """
{{ok, _}} = application:ensure_all_started(erlang_python),
{{ok, _, _}} = http_server:start_link(#{{port => {port}, app => {{hello, {app}}}}}),
receive stop -> ok end.
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ours(python, app, port, ebin):
    paths = [str(ROOT / "_build/default/lib/erlang_python/ebin"), ebin]
    settings = ["-erlang_python", "num_workers", "1", "num_async_workers", "1", "python", f'"{python}"', "paths", f'["{HERE}"]']
    evaluate = ["-eval", MAIN.format(port=port, app=app).replace("\n", " ")]
    return ["erl", "-noshell", "-pa", *paths, *settings, *evaluate]


def uvicorn(python, app, port, _ebin):
    options = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    return [python, "-m", "uvicorn", "--app-dir", str(HERE), *options, f"hello:{app}"]


def await_port(port, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"a server ended: {process.args}")
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("a server did not start")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * UNITS[unit]


def wrk(port, connections, seconds):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}/"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        sys.exit(report)
    latency = {percent: milliseconds(value) for percent, value in re.findall(r"^ +(50|99)% +(\S+)$", report, re.M)}
    return float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1]), latency["50"], latency["99"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sides = {"py_asgi": ours, "uvicorn": uvicorn}
    print("| application | connections | py_asgi: requests/s, p50, p99 | uvicorn: requests/s, p50, p99 | ratio |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as ebin:
        subprocess.run(["erlc", "-o", ebin, str(HERE / "http_server.erl")], check=True)
        for app in ("app", "bare"):
            ports = {name: free_port() for name in sides}
            servers = {}
            try:
                for name, command in sides.items():
                    servers[name] = subprocess.Popen(command(options.python, app, ports[name], ebin))
                    await_port(ports[name], servers[name])
                    wrk(ports[name], 10, 2)
                for connections in (1, 10, 100):
                    rounds = {name: [] for name in sides}
                    for turn in range(options.rounds):
                        for name in sorted(sides, reverse=turn % 2 == 1):
                            rounds[name].append(wrk(ports[name], connections, options.seconds))
                    row(app, connections, {name: [statistics.median(column) for column in zip(*found)] for name, found in rounds.items()})
            finally:
                for server in servers.values():
                    server.kill()
                    server.wait()


def row(app, connections, found):
    cells = [f"{rate:.0f}, {p50:.2f} ms, {p99:.2f} ms" for rate, p50, p99 in (found["py_asgi"], found["uvicorn"])]
    ratio = found["py_asgi"][0] / found["uvicorn"][0]
    print(f"| {app} | {connections} | {' | '.join(cells)} | {ratio:.2f}x |", flush=True)


if __name__ == "__main__":
    main()
