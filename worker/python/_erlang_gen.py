"""Describes Python modules and classes as plain data, for the generator of wrappers.

`describe` runs in a worker. The same surface gives the same description on every version of Python, as far as the versions do the same.
"""

import enum
import functools
import importlib
import inspect
import os
import sys
import types
import typing

import _erlang_gen_stubs as stubs
import _erlang_gen_types as kinds
from _erlang_gen_functions import (
    annotated,
    doc,
    function,
    merged,
    param,
    said,
    signature,
    source,
    spoken,
    tree_signature,
)

DATA = (type(None), bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset, enum.Enum)
# Of these the instances have what is worth having from elsewhere, or nothing.
FOREIGN = {"builtins", "typing", "typing_extensions", "abc", "enum", "collections", "collections.abc", "_collections_abc"}
# Dunder methods that have a name of their own.
SPECIAL = {"__call__": "call", "__len__": "len", "__getitem__": "getitem", "__setitem__": "setitem", "__delitem__": "delitem", "__contains__": "contains", "__iter__": "iter"}  # fmt: skip


def describe(target):
    """The description of a module, or of a class named with its module."""
    try:
        module, cls, name = find(target)
        names = [cls.__qualname__] if cls else public(module)
        return {
            "module": name,
            "target": target,
            "version": version(module),
            "doc": "" if cls else doc(module),
            "source": source(module, module),
            "members": [one for name in names for one in member(module, name)],
        }
    finally:
        stubs.forget()


def find(target):
    """The module, the class if that is the target, and the name under which the module was found."""
    parts = target.split(".")
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Of another module: that is the trouble.
            if error.name is None or not (name + ".").startswith(error.name + ".") or count == 1:
                raise
            continue
        if count == len(parts):
            return module, None, name
        found = functools.reduce(getattr, parts[count:], module)
        if not isinstance(found, type):
            raise TypeError(f"{target} is no module and no class")
        return module, found, name
    raise ModuleNotFoundError(f"No module named {target!r}")


def version(module):
    """What the module belongs to: `name version`."""
    top = module.__name__.partition(".")[0]
    stdlib = getattr(sys, "stdlib_module_names", None)
    path = getattr(sys.modules.get(top), "__file__", None) or ""
    home = os.path.dirname(os.__file__) + os.sep
    own = path.startswith(home) and "-packages" not in path if path else True
    if top in stdlib if stdlib else own:
        return f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    from importlib import metadata

    for name in (top, top.replace("_", "-")):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            pass
    for found in metadata.distributions():
        if top in (found.read_text("top_level.txt") or "").split():
            return f"{found.metadata['Name']} {found.version}"
    own = getattr(sys.modules.get(top), "__version__", "")
    return f"{top} {own}" if isinstance(own, str) and own else top


def public(module):
    """The public names of a module, sorted."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(set(listed))
    assigned = stubs.assigned(module.__name__)
    top = module.__name__.partition(".")[0]

    def ours(name, value):
        home = said(value, "__module__")
        if isinstance(value, type) or callable(value):
            # A package shows what its own modules define, a module what its own extension does.
            return home in (module.__name__, f"_{module.__name__}", None) or hasattr(module, "__path__") and home.partition(".")[0] == top
        return type(value) in DATA and (assigned is None or name in assigned)

    return sorted(name for name, value in vars(module).items() if not name.startswith("_") and ours(name, value))


def member(module, name):
    """Descriptions of a name of a module: one or none."""
    missing = object()
    value = functools.reduce(lambda of, part: getattr(of, part, missing), name.split("."), module)
    # A package may list submodules that are not imported.
    if value is missing or isinstance(value, types.ModuleType) or name in ("__version__", "annotations") or typing_only(value):
        return []
    if isinstance(value, type):
        if issubclass(value, BaseException):
            return [{"kind": "exception", "name": name, "doc": doc(value)}]
        return [a_class(module, name, value)]
    if callable(value):
        return [function(value, name, [said(value, "__module__") or module.__name__, module.__name__])]
    home, tree = stubs.attribute([module.__name__], name)
    kind = kinds.of_tree(tree, home) if tree else value_type(value)
    return [{"kind": "value", "name": name, "type": kind}]


def typing_only(value):
    """What exists for annotations alone."""
    return (
        isinstance(value, typing.TypeVar)
        or typing.get_origin(value) is not None
        or type(value).__module__ in ("typing", "typing_extensions") and not isinstance(value, type)
        or isinstance(value, types.FunctionType) and hasattr(value, "__supertype__")
    )


def value_type(value):
    """The type of a constant."""
    if isinstance(value, enum.Enum) or type(value) not in DATA:
        return kinds.class_type(type(value))
    return kinds.of_object(type(value), "builtins")


def a_class(module, name, cls):
    """A class with its methods, properties and fields."""
    shape = shape_of(cls)
    description = {
        "kind": "class", "name": name, "path": f"{cls.__module__}.{cls.__qualname__}", "shape": shape, "doc": doc(cls), "source": source(cls, cls.__module__),
        "type": kinds.class_type(cls)[2:], "fields": fields(cls, shape), "members": [], "init": None, "classes": [],
    }  # fmt: skip
    if shape == "typeddict":
        return description
    home = [cls.__module__, module.__name__]
    description["init"] = constructor(cls, name, home, shape)
    found = {field["name"]: attribute(field) for field in description["fields"]} if shape != "enum" else {}
    nested = set()
    for base in reversed([base for base in cls.__mro__ if base is cls or base.__module__ not in FOREIGN and base is not object]):
        for key, raw in vars(base).items():
            nested.discard(key)
            if isinstance(raw, type) and not key.startswith("_") and raw.__qualname__ == f"{base.__qualname__}.{key}":
                nested.add(key)
                found.pop(key, None)
            elif not key.startswith("_") or key in SPECIAL:
                one = class_member(cls, key, raw, home, shape)
                if one and not (key in found and one["kind"] == "attribute"):
                    found[key] = one
    description["members"] = [found[key] for key in sorted(found)]
    description["classes"] = [one for key in sorted(nested) for one in member(module, f"{name}.{key}")]
    return description


def shape_of(cls):
    if kinds.typing_dict(cls):
        return "typeddict"
    if issubclass(cls, enum.Enum):
        return "enum"
    if kinds.named_tuple(cls):
        return "namedtuple"
    return "dataclass" if hasattr(cls, "__dataclass_fields__") else "plain"


def fields(cls, shape):
    """Names and types of the fields, the members of an enumeration."""
    if shape == "enum":
        return [{"name": key, "type": value_type(one.value), "settable": False, "required": True} for key, one in cls.__members__.items() if not key.startswith("_")]
    if shape == "namedtuple":
        hints = {field: getattr(cls, "__annotations__", {}).get(field, typing.Any) for field in cls._fields}
    elif shape == "dataclass":
        hints = {key: field.type for key, field in cls.__dataclass_fields__.items() if field._field_type.name == "_FIELD"}
    else:
        # As `dict`, so that what a base says comes first.
        hints = {}
        for base in reversed(cls.__mro__):
            if base.__module__ not in FOREIGN:
                hints.update(annotations_of(base))
    frozen = shape == "namedtuple" or getattr(getattr(cls, "__dataclass_params__", None), "frozen", False)
    return [
        {"name": key, "type": kinds.of(hint, cls.__module__), "settable": not frozen, "required": required(cls, key, hint)}
        for key, hint in hints.items()
        if not key.startswith("_") and not (shape == "plain" and callable(vars(cls).get(key)))
    ]


def annotations_of(cls):
    try:
        return vars(cls).get("__annotations__") or (getattr(cls, "__annotations__", {}) if sys.version_info >= (3, 14) else {})
    except NameError:
        # A name that exists for type checkers alone.
        return {}


def required(cls, key, hint):
    """Whether a key of a TypedDict must be there. With postponed annotations Python does not see the marks."""
    text = hint if isinstance(hint, str) else getattr(hint, "__forward_arg__", "")
    if "NotRequired[" in text:
        return False
    return "Required[" in text or key in getattr(cls, "__required_keys__", {key})


def constructor(cls, name, home, shape):
    """The call of the class."""
    called = {"name": "__init__", "returns": ["class", f"{cls.__module__}.{cls.__qualname__}"], "async": False, "generator": False}
    if shape == "enum":
        params = [param("value", "only", None, None)]
        return dict(function_like(cls, name, params), **called)
    params, _ = signature(cls, cls.__module__, 0)
    # Of object, which versions describe differently.
    if type(cls) is type and cls.__init__ is object.__init__ and cls.__new__ is object.__new__:
        params = []
    told = []
    for way in ("__init__", "__new__"):
        where, nodes = stubs.definitions(home, f"{cls.__qualname__}.{way}")
        told = told or [tree_signature(node, where, 1) for node in stubs.overloads(nodes) or nodes[-1:]]
    if params is None:
        params, _ = merged(told)
    elif told:
        params, _ = annotated(params, kinds.ANY, told)
    one = function_like(cls, name, params)
    init = vars(cls).get("__init__")
    one["doc"] = doc(init) if isinstance(init, types.FunctionType) else ""
    one["overloads"] = [spoken(name, given, kinds.ANY) for given, _ in told] if len(told) > 1 else []
    return dict(one, **called)


def function_like(cls, name, params):
    return {"kind": "function", "params": params, "overloads": [], "signature": spoken(name, params, kinds.ANY), "doc": "", "source": source(cls, cls.__module__)}


def attribute(field):
    """A field as a property."""
    return {"kind": "attribute", "name": field["name"], "type": field["type"], "settable": field["settable"], "doc": "", "source": ""}


def class_member(cls, key, raw, home, shape):
    """A method, a property or a constant of a class; None for what is none of these."""
    if isinstance(raw, (property, functools.cached_property)):
        getter = raw.fget if isinstance(raw, property) else raw.func
        where, nodes = stubs.definitions(home, f"{cls.__qualname__}.{key}")
        _, returns = signature(getter, cls.__module__, 0)
        told = [tree_signature(node, where, 0)[1] for node in nodes if not stubs.decorated(node, "setter")]
        kind = returns if returns != kinds.ANY or not told else told[0]
        return {"kind": "attribute", "name": key, "type": kind, "settable": getattr(raw, "fset", None) is not None, "doc": doc(getter or raw), "source": source(getter or raw, cls.__module__)}
    if inspect.isgetsetdescriptor(raw) or inspect.ismemberdescriptor(raw):
        where, nodes = stubs.definitions(home, f"{cls.__qualname__}.{key}")
        kind = kinds.union([tree_signature(node, where, 0)[1] for node in nodes if not stubs.decorated(node, "setter")][:1])
        settable = any(node.name == key and stubs.decorated(node, "setter") for node in nodes)
        return {"kind": "attribute", "name": key, "type": kind, "settable": settable, "doc": doc(raw), "source": cls.__module__}
    if isinstance(raw, (staticmethod, classmethod)) or type(raw).__name__ == "classmethod_descriptor":
        return dict(function(getattr(cls, key), key, home, 0, 0 if isinstance(raw, staticmethod) else 1), binding="class", alias=key)
    if isinstance(raw, type) and key not in SPECIAL:
        # A class from elsewhere, as a choice of this one.
        return {"kind": "attribute", "name": key, "type": ["ref"], "settable": False, "doc": "", "source": ""}
    if callable(raw) or isinstance(raw, functools.partialmethod):
        one = function(getattr(cls, key), key, home, 1)
        return dict(one, binding="instance", name=key, alias=SPECIAL.get(key, key), generator=one["generator"] or key == "__iter__")
    if shape == "enum" or type(raw) not in DATA:
        return None
    where, tree = stubs.attribute(home, f"{cls.__qualname__}.{key}")
    kind = kinds.of_tree(tree, where) if tree else value_type(raw)
    return {"kind": "attribute", "name": key, "type": kind, "settable": False, "doc": "", "source": ""}
