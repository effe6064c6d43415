"""Virtual environments in an interpreter that runs already, by the rules of virtualenv's activate_this.py.

Modules that were imported stay imported; everything else is undone: sys.path, importers that .pth files have added,
VIRTUAL_ENV, PATH, sys.prefix and sys.exec_prefix.
"""

import os
import site
import sys

_undo = None


def activate(path):
    """Enters the environment in this directory, and leaves the one that was active."""
    global _undo
    deactivate()
    _undo = _enter(os.fsdecode(path))


def deactivate():
    """Leaves the environment that is active, if one is."""
    global _undo
    undo, _undo = _undo, None
    if undo:
        undo()


def configure(path):
    """Enters the environment that the worker keeps for life."""
    _enter(os.fsdecode(path))


def _enter(base):
    packages = os.path.join(base, "lib", "python{}.{}".format(*sys.version_info), "site-packages")
    own = os.path.realpath(sys.prefix) == os.path.realpath(base)
    importers = [(kept, list(kept)) for kept in (sys.meta_path, sys.path_hooks)]
    prefixes = sys.prefix, sys.exec_prefix
    before = list(sys.path)
    # An interpreter of the environment has the entries, behind those of the standard library.
    site.addsitedir(packages, None if own else set())
    if sys.path[: len(before)] == before:
        entries = sys.path[len(before) :]
    else:
        entries = [entry for entry in sys.path if entry not in before]
    if not own:
        sys.path[:] = entries + before
    sys.prefix = sys.exec_prefix = base
    scripts = os.path.join(base, "bin")
    path = os.environ.get("PATH")
    variables = [_set("VIRTUAL_ENV", base), _set("PATH", scripts if path is None else scripts + os.pathsep + path)]
    _forget_listings()

    def undo():
        for entry in entries:
            if entry in sys.path:
                sys.path.remove(entry)
            sys.path_importer_cache.pop(entry, None)
        for kept, earlier in importers:
            kept[:] = [importer for importer in kept if any(importer is one for one in earlier)]
        sys.prefix, sys.exec_prefix = prefixes
        for restore in variables:
            restore()
        _forget_listings()

    return undo


def _set(name, value):
    """Sets a variable; the function that is returned takes it back unless the program has changed it since."""
    before = os.environ.get(name)
    os.environ[name] = value

    def restore():
        if os.environ.get(name) != value:
            return
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before

    return restore


def _forget_listings():
    """Packages that were installed a moment ago are found. (importlib.invalidate_caches imports importlib.metadata.)"""
    for finder in list(sys.path_importer_cache.values()):
        invalidate = getattr(finder, "invalidate_caches", None)
        if invalidate:
            invalidate()
