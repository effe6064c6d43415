"""Runs a program in a terminal of its own and prints what the program wrote to it.

usage: terminal.py ROWS COLUMNS STEPS PROGRAM [ARG ...]

STEPS is a list in JSON of pairs: wait until the terminal has shown this text, after that of the pair before, then type that.
Ends when the program does, with 1 if a text has not come in two minutes.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 120


def main():
    rows, columns = int(sys.argv[1]), int(sys.argv[2])
    steps, program = json.loads(sys.argv[3]), sys.argv[4:]
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        # The size has to be there before the program asks for it.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvp(program[0], program)
    shown, since = b"", 0
    give_up = time.monotonic() + PATIENCE
    while True:
        while steps and (at := shown.find(steps[0][0].encode(), since)) >= 0:
            text, keys = steps.pop(0)
            since = at + len(text.encode())
            os.write(terminal, keys.encode())
        if not select.select([terminal], [], [], max(0, give_up - time.monotonic()))[0]:
            os.kill(child, signal.SIGKILL)
            break
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.waitpid(child, 0)
    sys.stdout.buffer.write(shown)
    return 1 if steps else 0


sys.exit(main())
