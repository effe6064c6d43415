"""What each Python thread is doing, in the form in which faulthandler writes it: `text`."""

import _thread
import sys

DEPTH = 100
LENGTH = 500


def plain(text):
    text = text[:LENGTH]
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else f"\\U{ord(c):08x}" for c in text)


def name(ident):
    # threading.enumerate() would wait for a lock.
    thread = getattr(sys.modules.get("threading"), "_active", {}).get(ident)
    known = getattr(thread, "_name", None)
    return plain(known) if type(known) is str else ""


def stack(ident, frame):
    lines = [f"Thread {ident:#018x} [{name(ident)}] (most recent call first):"]
    while frame is not None and len(lines) <= DEPTH:
        code, line = frame.f_code, frame.f_lineno
        lines.append(f'  File "{plain(code.co_filename)}", line {line or "???"} in {plain(code.co_name)}')
        frame = frame.f_back
    if frame is not None:
        lines.append("  ...")
    return lines


text = "\n".join(
    line
    for ident, frame in sys._current_frames().items()
    if ident != _thread.get_ident()
    for line in stack(ident, frame)
)
