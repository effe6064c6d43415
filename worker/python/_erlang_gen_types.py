"""Annotations as neutral types, for the generator of wrappers.

A type is a list whose first item is its kind: any, none, bool, int, float, str, bytes, ref, callable; with parts: list, set, iter
(iterators and generators), iterable, variadic (item), dict (key, value), tuple, union (list of types), literal (list of values), class
(path, then what it crosses as where that is no handle). Annotations come as objects, as strings or as syntax trees of stubs; the same
annotation gives the same type from each, on every version of Python.
"""

import ast
import builtins
import inspect
import sys
import typing

ANY = ["any"]
NONE = ["none"]

PLAIN = {
    "None": NONE, "NoneType": NONE, "bool": ["bool"], "int": ["int"], "float": ["float"], "str": ["str"], "bytes": ["bytes"],
    "bytearray": ["bytes"], "memoryview": ["bytes"], "LiteralString": ["str"], "Text": ["str"],
    "AnyStr": ["union", [["str"], ["bytes"]]], "type": ["ref"], "Type": ["ref"],
}  # fmt: skip
KINDS = {
    "list": "list", "List": "list", "Sequence": "list", "MutableSequence": "list", "deque": "list", "Deque": "list",
    "set": "set", "Set": "set", "frozenset": "set", "FrozenSet": "set", "AbstractSet": "set", "MutableSet": "set",
    "dict": "dict", "Dict": "dict", "Mapping": "dict", "MutableMapping": "dict", "defaultdict": "dict", "DefaultDict": "dict",
    "OrderedDict": "dict", "Iterator": "iter", "Generator": "iter", "AsyncIterator": "iter", "AsyncGenerator": "iter",
    "AsyncIterable": "iter", "Iterable": "iterable", "Collection": "iterable",
    "tuple": "tuple", "Tuple": "tuple", "Callable": "callable", "Union": "union", "Optional": "optional", "Literal": "literal",
    "Annotated": "first", "Final": "first", "ClassVar": "first", "Required": "first", "NotRequired": "first", "ReadOnly": "first",
    "Awaitable": "last", "Coroutine": "last",
}  # fmt: skip
# Where the names above are at home.
HOMES = {"builtins", "typing", "typing_extensions", "collections", "collections.abc", "types", "_typeshed"}


def union(types):
    """Flat, without repetitions, None last."""
    flat = []
    for one in types:
        for part in one[1] if one[0] == "union" else [one]:
            if part not in flat:
                flat.append(part)
    if ANY in flat or not flat:
        return ANY
    flat.sort(key=lambda part: part == NONE)
    return flat[0] if len(flat) == 1 else ["union", flat]


def built(name, args, convert):
    """The type of a well-known name with arguments, which `convert` turns into types."""
    if not args and name in PLAIN:
        return PLAIN[name]
    kind = KINDS.get(name)
    if kind is None:
        return PLAIN.get(name, ANY)
    if kind in ("callable",):
        return ["callable"]
    if kind == "literal":
        return ["literal", [one for arg in args for one in literal(arg)]]
    if kind == "tuple":
        return tuple_type(args, convert)
    types = [convert(arg) for arg in args]
    if kind == "union":
        return union(types)
    if kind == "optional":
        return union([*types, NONE])
    if kind == "first":
        return types[0] if types else ANY
    if kind == "last":
        return types[-1] if types else ANY
    if kind == "dict":
        return ["dict", *types] if len(types) == 2 else ["dict", ANY, ANY]
    return [kind, types[0] if types else ANY]


def tuple_type(args, convert):
    """Of fixed length, or variadic."""
    if len(args) == 2 and is_ellipsis(args[1]):
        return ["variadic", convert(args[0])]
    if not args:
        return ["variadic", ANY]
    if len(args) == 1 and (args[0] == () or isinstance(args[0], ast.Tuple) and not args[0].elts):
        return ["tuple", []]
    return ["tuple", [convert(arg) for arg in args]]


def is_ellipsis(arg):
    """In an object or in a tree."""
    return arg is Ellipsis or isinstance(arg, ast.Constant) and arg.value is Ellipsis


def literal(arg):
    """The values of one argument of Literal: pairs of kind and value."""
    if isinstance(arg, ast.AST):
        try:
            arg = ast.literal_eval(arg)
        except ValueError:
            return [["any"]]
    if arg is None:
        return [["none"]]
    for kind in (bool, int, str, bytes):
        if type(arg) is kind:
            return [[kind.__name__, arg]]
    return [["any"]]


def class_type(cls):
    """A class that is not well known: a handle, or what its instances cross as."""
    path = f"{cls.__module__}.{cls.__qualname__}"
    if cls.__module__.split(".")[0] == "numpy" or inspect.isabstract(cls) or getattr(cls, "_is_protocol", False):
        return ANY
    if typing_dict(cls):
        return ["class", path, ["dict", ["str"], ANY]]
    if named_tuple(cls):
        return ["class", path, ["tuple", [of(getattr(cls, "__annotations__", {}).get(f, typing.Any), cls.__module__) for f in cls._fields]]]
    for base, crossing in (
        (bool, ["bool"]), (int, ["int"]), (float, ["float"]), (str, ["str"]), (bytes, ["bytes"]),
        (dict, ["dict", ANY, ANY]), (tuple, ["variadic", ANY]), ((list, set, frozenset), ["list", ANY]),
    ):  # fmt: skip
        if issubclass(cls, base):
            return ["class", path, crossing]
    return ["class", path]


def typing_dict(cls):
    """Whether it is a TypedDict."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__total__") and hasattr(cls, "__required_keys__")


def named_tuple(cls):
    """Whether it is a named tuple."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_make")


def of(annotation, module):
    """The type of an annotation that stands in a module."""
    try:
        return of_object(annotation, module)
    except Exception:
        # Whatever the annotation's own code raises: it says nothing then.
        return ANY


def of_object(annotation, module):
    if isinstance(annotation, (str, typing.ForwardRef)):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        return of_tree(ast.parse(text.strip(), mode="eval").body, module)
    if annotation is None:
        return NONE
    if isinstance(annotation, typing.TypeVar):
        return built(annotation.__name__, (), None) if annotation.__name__ == "AnyStr" else ANY

    def convert(arg):
        return of_object(arg, module)

    origin = typing.get_origin(annotation)
    if origin is not None:
        if hasattr(annotation, "__metadata__"):
            return convert(annotation.__origin__)
        name = getattr(origin, "__name__", None) or getattr(origin, "_name", None)
        if origin is typing.Union or name == "UnionType":
            name = "Union"
        if getattr(origin, "__module__", "typing") in HOMES:
            return built(name, typing.get_args(annotation), convert)
        return class_type(origin) if isinstance(origin, type) else ANY
    name = getattr(annotation, "__name__", None) or getattr(annotation, "_name", None)
    if getattr(annotation, "__module__", None) in HOMES:
        return built(name, (), convert)
    return class_type(annotation) if isinstance(annotation, type) else ANY


def of_tree(tree, module):
    """The type of an annotation in source text."""

    def convert(arg):
        return of_tree(arg, module)

    if isinstance(tree, ast.Constant):
        if isinstance(tree.value, str):
            return of(tree.value, module)
        return NONE if tree.value is None else ANY
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        return union([convert(tree.left), convert(tree.right)])
    args = ()
    if isinstance(tree, ast.Subscript):
        inner = tree.slice
        args = tuple(inner.elts) if isinstance(inner, ast.Tuple) and inner.elts else (inner,)
        tree = tree.value
    if not isinstance(tree, (ast.Name, ast.Attribute)):
        return ANY
    name = tree.id if isinstance(tree, ast.Name) else tree.attr
    found = resolve(tree, module)
    if found is not None and getattr(found, "__module__", None) not in HOMES:
        return of(found, module) if not args or isinstance(found, type) else ANY
    if name == "Annotated":
        args = args[:1]
    return built(name, args, convert)


def resolve(tree, module):
    """What a name or a dotted name stands for in a module; None if that is not known."""
    names = []
    while isinstance(tree, ast.Attribute):
        names.insert(0, tree.attr)
        tree = tree.value
    if not isinstance(tree, ast.Name):
        return None
    # Not what a module's __getattr__ makes up.
    found = vars(sys.modules.get(module, builtins)).get(tree.id, vars(builtins).get(tree.id))
    for name in names:
        found = getattr(found, name, None)
    return found


def text(kind):
    """As Python writes it."""
    name, parts = kind[0], kind[1:]
    if name == "any":
        return "Any"
    if name == "none":
        return "None"
    if name == "union":
        return " | ".join(text(part) for part in parts[0])
    if name == "literal":
        return "Literal[" + ", ".join("None" if one[0] == "none" else "..." if one[0] == "any" else repr(one[1]) for one in parts[0]) + "]"
    if name == "tuple":
        return "tuple[" + (", ".join(text(part) for part in parts[0]) or "()") + "]"
    if name == "variadic":
        return f"tuple[{text(parts[0])}, ...]"
    if name == "class":
        return parts[0].split(".")[-1]
    spoken = {"ref": "type", "callable": "Callable", "iter": "Iterator", "iterable": "Iterable"}.get(name, name)
    return spoken + ("[" + ", ".join(text(part) for part in parts) + "]" if parts else "")
