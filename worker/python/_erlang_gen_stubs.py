"""What source files and stubs say of functions that the objects do not: overloads, annotations, signatures of C functions."""

import ast
import importlib.util
import os
import sys


class Names:
    """The definitions of a file by their qualified names."""

    def __init__(self, path):
        self.functions = {}  # a list each: overloads, then the implementation
        self.assigned = {}  # annotation or None
        self.classes = {}  # line, that of the first decorator
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
        self.walk(tree.body, "")

    def walk(self, body, prefix):
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.functions.setdefault(prefix + node.name, []).append(node)
            elif isinstance(node, ast.ClassDef):
                self.classes[prefix + node.name] = min(one.lineno for one in [node, *node.decorator_list])
                self.walk(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.assigned[prefix + node.target.id] = node.annotation
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
                    self.assigned.update((prefix + name.id, None) for name in names if isinstance(name, ast.Name))
            elif isinstance(node, ast.If):
                self.walk(node.body if holds(node.test) else node.orelse, prefix)
            elif isinstance(node, ast.Try):
                self.walk(node.body, prefix)


def holds(test):
    """Whether a condition holds for a type checker that looks at this interpreter."""
    try:
        return bool(eval(compile(ast.Expression(test), "<stub>", "eval"), {"sys": sys, "TYPE_CHECKING": True}))
    except Exception:
        # Only conditions on these names can be told.
        return True


_names = {}
_stubs = {}


def names_in(path):
    """Names of a file; None if there is no such file, or it is no Python."""
    if path not in _names:
        try:
            _names[path] = Names(path)
        except (OSError, SyntaxError, ValueError, TypeError):
            _names[path] = None
    return _names[path]


def forget():
    """Lets go of the files."""
    _names.clear()
    _stubs.clear()


def source_of(module):
    """The path of the Python source of a module, if it has one."""
    path = getattr(sys.modules.get(module), "__file__", None)
    return path if path and path.endswith(".py") else None


def stub_of(module):
    """The path of the stub of a module: beside it, or in a package of stubs."""
    if module not in _stubs:
        _stubs[module] = find_stub(module)
    return _stubs[module]


def find_stub(module):
    path = getattr(sys.modules.get(module), "__file__", None)
    if path:
        directory, name = os.path.split(path)
        beside = os.path.join(directory, name.split(".")[0] + ".pyi")
        if os.path.exists(beside):
            return beside
    top, _, rest = module.partition(".")
    try:
        spec = importlib.util.find_spec(f"{top}-stubs")
    except (ImportError, ValueError):
        return None
    for directory in (spec and spec.submodule_search_locations) or []:
        base = os.path.join(directory, *rest.split(".")) if rest else directory
        for path in (os.path.join(base, "__init__.pyi"), base + ".pyi"):
            if os.path.exists(path):
                return path
    return None


def definitions(modules, name):
    """`(module, nodes)` of a name in the first stub or source of these modules that has it."""
    for module in modules:
        for path in (stub_of(module), source_of(module)):
            names = path and names_in(path)
            if names and name in names.functions:
                return module, names.functions[name]
    return None, []


def attribute(modules, name):
    """`(module, annotation)` of an attribute in a stub or source, a tree."""
    for module in modules:
        for path in (stub_of(module), source_of(module)):
            names = path and names_in(path)
            if names and names.assigned.get(name) is not None:
                return module, names.assigned[name]
    return None, None


def class_line(path, name):
    """The line where a class begins in a file; None if it is not known."""
    names = names_in(path)
    return names.classes.get(name) if names else None


def assigned(module):
    """The names that the source of a module assigns; None without a source."""
    path = source_of(module)
    names = path and names_in(path)
    return set(names.assigned) if names else None


def decorated(node, name):
    """Whether a definition has this decorator."""
    for one in node.decorator_list:
        if (one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", None)) == name:
            return True
    return False


def overloads(nodes):
    """Those of the definitions that are overloads."""
    return [node for node in nodes if decorated(node, "overload")]


def unparse(node):
    """The text of a default."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else "..."
