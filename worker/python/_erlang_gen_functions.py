"""Describes functions, for the generator of wrappers: parameters, result, overloads, docstring, source."""

import enum
import inspect
import os
import re
import sys
import types
import typing

import _erlang_gen_stubs as stubs
import _erlang_gen_types as kinds

KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "normal",
    inspect.Parameter.VAR_POSITIONAL: "args",
    inspect.Parameter.KEYWORD_ONLY: "key",
    inspect.Parameter.VAR_KEYWORD: "kwargs",
}


def said(thing, name):
    """A text that an object has as an attribute; None if it has none, or does not let itself be asked."""
    try:
        text = getattr(thing, name, None)
    except Exception:
        return None
    return text if isinstance(text, str) else None


def unwrapped(value):
    """What decorators have wrapped; the object itself if that cannot be found out."""
    try:
        return inspect.unwrap(value)
    except Exception:
        return value


def doc(thing):
    """The docstring, as it is meant: without the indentation of its source. One that Python makes up is none."""
    text = vars(thing).get("__doc__") if isinstance(thing, type) else said(thing, "__doc__")
    if not isinstance(text, str):
        return ""
    if isinstance(thing, type):
        made_up = hasattr(thing, "__dataclass_fields__") or kinds.named_tuple(thing)
        if made_up and text.startswith(thing.__name__ + "(") or text == "An enumeration.":
            return ""
    return inspect.cleandoc(text).encode("utf-8", "replace").decode()


def source(thing, module):
    """File and line, the file as seen from the directory that imports start from; the module's name for what has no source."""
    raw = unwrapped(thing) if callable(thing) else thing
    try:
        path = inspect.getsourcefile(raw)
    except (TypeError, ValueError, OSError):
        path = None
    if not path:
        return module.__name__ if isinstance(module, types.ModuleType) else str(module)
    path = os.path.realpath(path)
    roots = [root for root in map(os.path.realpath, filter(None, sys.path)) if path.startswith(root + os.sep)]
    short = os.path.relpath(path, max(roots, key=len)) if roots else os.path.basename(path)
    if isinstance(thing, types.ModuleType):
        return short
    code = getattr(raw, "__code__", None)
    line = code.co_firstlineno if isinstance(code, types.CodeType) else stubs.class_line(path, said(thing, "__qualname__"))
    if line is None:
        return short
    return f"{short}:{line}"


def default(value):
    """As Python writes it, without what differs from run to run."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (set, frozenset)) and value:
        text = "{" + ", ".join(sorted(map(repr, value))) + "}"
    elif isinstance(value, (types.FunctionType, type)):
        text = value.__qualname__
    else:
        try:
            text = repr(value)
        except Exception:
            text = "..."
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(text.split()))
    return text if len(text) <= 60 else "..."


def function(value, name, homes, skip=0, skip_in_source=None):
    """A function; `skip` parameters come from elsewhere, such as `self`: of the object, and of its source where that differs."""
    first = skip if skip_in_source is None else skip_in_source
    raw = unwrapped(value)
    homes = [home for home in dict.fromkeys([said(raw, "__module__"), *homes]) if home]
    qualname = said(raw, "__qualname__") or name
    home, nodes = stubs.definitions(homes, qualname if "<" not in qualname else name)
    if not nodes and qualname != name:
        home, nodes = stubs.definitions(homes, name)
    overloads = [tree_signature(node, home, first) for node in stubs.overloads(nodes)] or runtime_overloads(raw, homes[0], skip)
    wrapped = raw is not value and inspect.isgeneratorfunction(raw) != inspect.isgeneratorfunction(value)
    told = overloads or [tree_signature(node, home, first) for node in nodes[-1:]]
    params, returns = signature(value, homes[0], skip)
    if params is None:
        params, returns = merged(told)
    elif told:
        params, returns = annotated(params, returns, told)
    if wrapped:
        returns = kinds.ANY
    asynchronous = inspect.iscoroutinefunction(value) or any(isinstance(node, stubs.ast.AsyncFunctionDef) for node in nodes)
    generator = inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value) or streams(returns)
    return {
        "kind": "function",
        "name": name,
        "params": params,
        "returns": returns,
        "async": asynchronous and not inspect.isasyncgenfunction(value),
        "generator": generator,
        "overloads": [spoken(name, one, result) for one, result in overloads],
        "signature": spoken(name, params, returns),
        "doc": doc(value),
        "source": source(value, homes[0]),
    }


def streams(kind):
    """Whether a result of this type is an iterator whatever the arguments are."""
    return kind[0] == "iter" or kind[0] == "union" and all(part[0] == "iter" for part in kind[1])


def signature(value, module, skip):
    """Parameters and result of an object; None where it does not say."""
    try:
        found = inspect.signature(value)
    except Exception:
        # Not only what it says that it raises: it runs code of the object, and evaluates defaults of C functions.
        return None, kinds.ANY
    params = [
        param(p.name, KINDS[p.kind], None if p.default is p.empty else default(p.default), None if p.annotation is p.empty else kinds.of(p.annotation, module))
        for number, p in enumerate(found.parameters.values())
        if number >= skip or KINDS[p.kind] == "args"
    ]
    return params, kinds.ANY if found.return_annotation is found.empty else kinds.of(found.return_annotation, module)


def param(name, kind, value, annotation):
    # The mark of positional-only parameters before there was a syntax for it, in stubs.
    if kind == "normal" and name.startswith("__") and not name.endswith("__"):
        name, kind = name[2:], "only"
    return {"name": name, "kind": kind, "default": value, "type": annotation or kinds.ANY}


def tree_signature(node, module, skip):
    """The same of a definition in source text."""
    args = node.args
    plain = [(arg, "only") for arg in args.posonlyargs] + [(arg, "normal") for arg in args.args]
    values = [None] * (len(plain) - len(args.defaults)) + list(args.defaults)
    found = [(arg, kind, value) for (arg, kind), value in zip(plain, values)]
    if args.vararg:
        found.append((args.vararg, "args", None))
    found += [(arg, "key", value) for arg, value in zip(args.kwonlyargs, args.kw_defaults)]
    if args.kwarg:
        found.append((args.kwarg, "kwargs", None))
    if stubs.decorated(node, "staticmethod"):
        skip = 0
    params = [
        param(arg.arg, kind, value and stubs.unparse(value), arg.annotation and kinds.of_tree(arg.annotation, module))
        for arg, kind, value in found[skip:]
    ]
    return params, kinds.of_tree(node.returns, module) if node.returns else kinds.ANY


def runtime_overloads(value, module, skip):
    """Overloads that Python has noted, for functions without a source; from 3.11 on."""
    noted = getattr(typing, "get_overloads", lambda _: [])
    found = [signature(one, module, skip) for one in noted(value)] if isinstance(value, types.FunctionType) else []
    return [one for one in found if one[0] is not None]


def merged(told):
    """One signature for several; none if they begin differently."""
    opaque = [param("args", "args", None, None), param("kwargs", "kwargs", None, None)]
    if not told:
        return opaque, kinds.ANY
    returns = kinds.union([result for _, result in told])
    needed = [[p["name"] for p in params if p["default"] is None and p["kind"] in ("only", "normal", "key")] for params, _ in told]
    if any(one != needed[0] for one in needed):
        return opaque, returns
    order = max((params for params, _ in told), key=len)
    known = {p["name"] for p in order}
    if any(p["name"] not in known for params, _ in told for p in params):
        return opaque, returns
    return annotated(order, returns, told)


def annotated(params, returns, told):
    """Parameters with the types of those of the same name; where they have types, those stay."""

    def kind(one):
        types_of = [p["type"] for others, _ in told for p in others if p["name"] == one["name"]]
        if one["type"] != kinds.ANY or not types_of:
            return one
        # What may be left out by None may be None.
        return dict(one, type=kinds.union(types_of + [kinds.NONE] * (one["default"] == "None")))

    if returns == kinds.ANY:
        returns = kinds.union([result for _, result in told])
    return [kind(one) for one in params], returns


def spoken(name, params, returns):
    """The signature as text."""
    parts, seen = [], ""
    for one in params:
        if seen == "only" != one["kind"]:
            parts.append("/")
        if one["kind"] == "key" and seen not in ("args", "key"):
            parts.append("*")
        seen = one["kind"]
        text = {"args": "*", "kwargs": "**"}.get(seen, "") + one["name"]
        if one["type"] != kinds.ANY:
            text += ": " + kinds.text(one["type"])
        if one["default"] is not None:
            text += ("=" if one["type"] == kinds.ANY else " = ") + one["default"]
        parts.append(text)
    if seen == "only":
        parts.append("/")
    result = "" if returns == kinds.ANY else " -> " + kinds.text(returns)
    return f"{name}({', '.join(parts)}){result}"
