"""The state that programs can change in a worker, as the node has set it up, and how to put it back.

Held as it is when the worker has started, and changed by requests of the node's own (set-up, exec_all): by what
differs after such a request, so that nothing of the program that has the worker at that time gets in. The
copies are shallow: what a program changes inside an object stays changed.
"""

import _operator as operator
import os
import sys

main = sys.modules["__main__"].__dict__
environ, path = os.environ, sys.path
chdir, getcwd = os.chdir, os.getcwd
# Level of the root logger of a logging module that nobody has set up.
WARNING = 30


def directory():
    try:
        return getcwd()
    except OSError:
        return None


def root_logger():
    logging = sys.modules.get("logging")
    return getattr(logging, "root", None)


def level():
    return getattr(root_logger(), "level", WARNING)


class State:
    """What a reset puts back."""

    def __init__(self):
        self.names = dict(main)
        self.variables = dict(environ)
        self.path = list(path)
        self.directory = directory()
        self.level = level()


class Names:
    """Stands for the namespace of __main__ while a program of the node runs beside names of others, and notes what it sets:
    a name may get the value that it had."""

    def __init__(self):
        self.set = set()

    def __getitem__(self, name):
        return main[name]

    def __setitem__(self, name, value):
        main[name] = value
        self.set.add(name)

    def __delitem__(self, name):
        del main[name]

    def keys(self):
        return main.keys()


def begin():
    before = State()
    shared = before.names.keys() != base.names.keys() or any(base.names[n] is not v for n, v in before.names.items())
    return before, Names() if shared else None


def end(change):
    before, names = change
    after = State()
    if names:
        for name in names.set:
            before.names.pop(name, None)
    patch(base.names, before.names, after.names, operator.is_)
    patch(base.variables, before.variables, after.variables, operator.eq)
    if before.path != after.path:
        base.path = merged(base.path, before.path, after.path)
    if before.directory != after.directory:
        base.directory = after.directory
    if before.level != after.level:
        base.level = after.level


def patch(target, before, after, same):
    for name in before:
        if name not in after:
            target.pop(name, None)
    for name, value in after.items():
        if name not in before or not same(before[name], value):
            target[name] = value


def merged(target, before, after):
    kept = [entry for entry in target if entry in after or entry not in before]
    new = [entry for entry in after if entry not in before]
    old = next((index for index, entry in enumerate(after) if entry in before), len(after))
    first = [entry for entry in after[:old] if entry in new]
    return first + kept + [entry for entry in new if entry not in first]


def restore():
    for name in [name for name in main if name not in base.names]:
        main.pop(name, None)
    main.update(base.names)
    os.environ, sys.path = environ, path
    for name in [name for name in environ if name not in base.variables]:
        del environ[name]
    for name, value in base.variables.items():
        if environ.get(name) != value:
            environ[name] = value
    path[:] = base.path
    if base.directory is not None and directory() != base.directory:
        try:
            chdir(base.directory)
        except OSError:
            # It is gone.
            pass
    if level() != base.level:
        root_logger().setLevel(base.level)


base = State()
