"""Folders of this package in which every file is one thing of a kind: which there are, and what each says of itself.

The kinds, by folder: ``methods``, ``ablation.replacements``, ``figures``, ``findings.sections``, ``data.documents``
(sources of documents), ``data.answers`` (types of answers), ``model.sources`` and ``tables``. A file whose name begins
with an underscore belongs to the others in its folder, and is none of its kind.

What a file says of itself is read without importing it, for it is asked where neither torch nor a plotting library may
be there. It must stand there plainly:

- a constant is a literal assigned at the top of the module, or of its public class;
- a parameter is a field of that class with one of the annotations ``float``, ``int``, ``bool``, ``str`` and
  ``Literal[...]``;
- what its values must be beside that, such as ``{"minimum": 1}``, is in the constant ``limits``;
- the summary is the first paragraph of that class's docstring, or of the module's where there is no class.
"""

import ast
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = Path(__file__).parent


def files(kind: str) -> dict[str, Path]:
    """Name → file of all there are of a kind, such as ``methods`` or ``data.documents``."""
    return {
        path.stem: path
        for path in sorted(_ROOT.joinpath(*kind.split(".")).glob("*.py"))
        if not path.stem.startswith("_")
    }


def names(kind: str) -> list[str]:
    """The names there are of a kind, sorted."""
    return list(files(kind))


def module(kind: str, name: str) -> ModuleType:
    """The module of a kind that has this name."""
    return import_module(f"{_ROOT.name}.{kind}.{name}")


def subclass(kind: str, name: str, base: type) -> Any:
    """The class in a module of a kind that the module defines as a subclass of ``base``; there must be exactly one."""
    found = module(kind, name)
    (only,) = (
        value
        for value in vars(found).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == found.__name__
    )
    return only


def constants(file: Path) -> dict[str, Any]:
    """Name → value of the constants in a file; those of its class go before those of the module."""
    values: dict[str, Any] = {}
    for scope in _scopes(file):
        for node in scope.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and value is not None:
                try:
                    values[target.id] = ast.literal_eval(value)
                except ValueError:
                    continue
    return values


def base(file: Path) -> str:
    """The name of the class that a file's class is one of, "" where there is none."""
    bases = [ast.unparse(one) for scope in _scopes(file)[1:] if isinstance(scope, ast.ClassDef) for one in scope.bases]
    return next(iter(bases), "")


def summary(file: Path) -> str:
    """What a file's docstring says of it, in one line; empty where it says nothing."""
    docstrings = [ast.get_docstring(scope) for scope in reversed(_scopes(file))]
    return " ".join(next(filter(None, docstrings), "").split("\n\n")[0].split())


def parameters(file: Path) -> dict[str, dict]:
    """Name → JSON schema of the values that a parameter in a file takes: its type, and what ``limits`` says."""
    limits = constants(file).get("limits", {})
    return {
        node.target.id: rule | limits.get(node.target.id, {})
        for scope in _scopes(file)[1:]
        for node in scope.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if (rule := _json_schema(node.annotation)) is not None
    }


def describe(kind: str, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Label, definition and paper of those of a kind that have these names, as far as their files tell them."""
    described, known = {}, files(kind)
    for name in names:
        if name in known:
            told = constants(known[name]) | {"definition": summary(known[name])}
            described[name] = {key: str(told[key]) for key in ("label", "definition", "paper") if told.get(key)}
        else:
            described[name] = {}
    return described


def _scopes(file: Path) -> tuple[ast.Module | ast.ClassDef, ...]:
    """A module, and its public class if it has one."""
    told = file.stat()
    return _scopes_of(file, told.st_mtime_ns, told.st_size)


@cache
def _scopes_of(file: Path, _changed: int, _size: int) -> tuple[ast.Module | ast.ClassDef, ...]:
    """The same, read anew once the file has changed: methods ask often what their replacements need."""
    module = ast.parse(file.read_text(encoding="utf-8"))
    public = [node for node in module.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    return module, *public[:1]


_TYPES = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}


def _json_schema(annotation: ast.expr) -> dict | None:
    """What a value must be that a field with this annotation takes; None for a field that is no parameter."""
    if isinstance(annotation, ast.Name) and annotation.id in _TYPES:
        return {"type": _TYPES[annotation.id]}
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        choices = ast.literal_eval(annotation.slice)
        return {"enum": list(choices) if isinstance(choices, tuple) else [choices]}
    return None
