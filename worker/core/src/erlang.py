"""What module erlang has beside its native parts; runs in its namespace."""

import _thread
import sys as _sys

from erlang import Pid, _import, _in_child, _internal, _modules, _part, _send, call

# What is loaded at first use, because it imports modules that a program may never need.
_PARTS = {
    "ErlangHandler": "handler",
    "setup_logging": "handler",
    "_stop_logging": "handler",
    "Span": "span",
    "trace": "span",
}
_loading = _thread.RLock()
# Whether spans are sent.
_tracing = False


def _load(part):
    with _loading:
        names = [name for name, of in _PARTS.items() if of == part]
        if names[0] not in globals():
            namespace = _part(part)
            globals().update((name, namespace[name]) for name in names)


def __getattr__(name):
    if name in _PARTS:
        _load(_PARTS[name])
        return globals()[name]
    dunder = name.startswith("__") and name.endswith("__")
    if dunder or not (_in_child() or _internal("registered", name)):
        raise AttributeError(f"module 'erlang' has no attribute {name!r}: no such function is registered")

    def function(*args):
        return call(name, *args)

    function.__name__ = function.__qualname__ = name
    function.__module__ = "erlang"
    function.__doc__ = f"Calls the Erlang function that is registered as {name!r}."
    return function


def _complete(answers):
    for future, value, error in answers:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _find(module, name):
    """What a dotted name means in a module, which is imported."""
    found = _import(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


async def _collect(module, function, args, kwargs):
    """The items of an asynchronous generator or iterator; what is none becomes a list of one item."""
    items = _find(module, function)(*args, **kwargs)
    if hasattr(items, "__await__"):
        items = await items
    if hasattr(items, "__aiter__"):
        return [item async for item in items]
    return list(items) if hasattr(items, "__next__") else [items]


def send(to, message):
    """Sends a message to an Erlang process, named by its Pid or its registered name."""
    if not isinstance(to, (Pid, str)):
        raise TypeError(f"erlang.send needs an erlang.Pid or a name, not {type(to).__name__}")
    _send(to, message)


def self():
    """The Erlang process whose request this thread runs, or None."""
    return _internal("self")


def whereis(name):
    """The Erlang process or port with this registered name, or None."""
    if not isinstance(name, str):
        raise TypeError(f"erlang.whereis needs a name, not {type(name).__name__}")
    return _internal("whereis", str(name))


def state_get(key, default=None):
    """The value that Erlang and all workers share under this key."""
    found = _internal("state_get", key)
    return found[0] if found else default


def state_set(key, value):
    """Sets the value of a key."""
    _internal("state_set", key, value)


def state_delete(key):
    """Forgets a key."""
    _internal("state_delete", key)


def state_keys():
    """A list of all keys."""
    return _internal("state_keys")


def state_clear():
    """Forgets all keys."""
    _internal("state_clear")


def state_incr(key, amount=1):
    """Adds to a counter, which starts at 0, and returns its new value. Atomic."""
    return _internal("state_incr", key, amount)


def state_decr(key, amount=1):
    """Subtracts from a counter, which starts at 0, and returns its new value. Atomic."""
    return _internal("state_decr", key, amount)


# Of `warnings.filters`: what 3.12 and later say at each fork of a process with threads, which a worker always is.
_fork_warning = None


def _before_fork():
    global _fork_warning
    import re
    from warnings import filters

    if _fork_warning is None:
        _fork_warning = "ignore", re.compile("This process .* is multi-threaded"), DeprecationWarning, None, 0
    if _fork_warning not in filters:
        # Where Python has it from the start; what a program filters itself comes before.
        shown = "default", None, DeprecationWarning, "__main__", 0
        filters.insert(filters.index(shown) if shown in filters else len(filters), _fork_warning)


if _sys.version_info >= (3, 12):
    __import__("posix").register_at_fork(before=_before_fork)


# Coroutine functions that run when a worker stops whose loop is in the main thread.
_at_stop = []


def _later(name, program):
    """Makes a module `erlang.NAME` whose program runs when something of it is first used."""
    module = type(_sys)(f"erlang.{name}")
    lock = _thread.allocate_lock()

    def load(attribute):
        if attribute.startswith("__") and attribute.endswith("__"):
            raise AttributeError(attribute)
        with lock:
            if "__getattr__" in vars(module):
                exec(compile(program, f"<erlang.{name}>", "exec", dont_inherit=True), vars(module))
                del module.__getattr__
        return getattr(module, attribute)

    module.__getattr__ = load
    _sys.modules[module.__name__] = module


for _name, _program in _modules.items():
    _later(_name, _program)
del _name, _program, _modules
