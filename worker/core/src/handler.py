"""Python's log records as events of OTP's logger; loaded when a program first asks for it."""

import logging
import threading

from erlang import _in_child, _log

# Longest text of a record in characters.
LIMIT = 1 << 16


def utf8(text):
    if len(text) > LIMIT:
        text = text[:LIMIT] + "..."
    return text.encode("utf-8", "backslashreplace")


class ErlangHandler(logging.Handler):
    """Sends log records to the logger of the Erlang node."""

    def handle(self, record):
        # A record is sent as a whole: no lock is needed that an interrupted thread could leave taken.
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record):
        """Sends the record. What goes wrong here is no concern of the program that logs."""
        try:
            if _in_child():
                logging.lastResort.handle(record)
            else:
                self._send(record)
        except Exception:
            # There is nobody left to tell.
            pass

    def _send(self, record):
        try:
            text = self.format(record)
        except Exception as error:
            # Arguments that do not fit the format, or whose __str__ raises.
            text = f"{record.msg if isinstance(record.msg, str) else type(record.msg)!r} (could not be formatted: {type(error).__name__})"
        trace = record.exc_text
        _log(
            int(record.levelno),
            int(record.created * 1e6),
            utf8(text),
            utf8(str(record.name)),
            utf8(str(record.module)),
            utf8(str(record.funcName)),
            utf8(str(record.pathname)),
            int(record.lineno or 0),
            utf8(str(record.processName)),
            utf8(str(record.threadName or threading.current_thread().name)),
            utf8(trace) if isinstance(trace, str) else None,
        )


def setup_logging(level=logging.INFO, format=None):
    """Sends what this worker logs from a level on to the node, each record as `format` (of `logging.Formatter`) says."""
    formatter = logging.Formatter(format)
    handlers = installed() or [ErlangHandler()]
    for handler in handlers:
        handler.setLevel(level)
        handler.setFormatter(formatter)
        logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(level)


def _stop_logging():
    for handler in installed():
        logging.getLogger().removeHandler(handler)
    logging.getLogger().setLevel(logging.WARNING)


def installed():
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, ErlangHandler)]
