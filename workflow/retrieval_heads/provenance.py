"""Which code a result depends on, and what that code means."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent

_GENERATION = 2
"""Of all results together. What jobs do around their work is no part of a rule's code; when results of former jobs will
no longer do, as those without manifests (2), it grows, and all are made anew."""

WITHOUT_INFLUENCE = {
    "job": "tells of work and ends it when it fails or its run is over",
    "manifests": "tells what a result is once it is made",
    "making": "tells what a result is made with, beside it",
    "logs": "tells how a job's log tells of it",
    "plain_text": "tells how messages and logs are written, and which signs are refused",
    "digests": "tells one content from another, as parameters of rules have them",
    "runs": "tells when a run is over, and a job what its run began with",
    "identity": "refuses to go on with files that were changed",
    "atomic_write": "tells where a file lies while it is written, not what is in it",
    "engine.pace": "tells how long a study takes",
}
"""Modules that no result depends on, each with the reason. What a result can depend on must not be put into them."""


def code_digest(*files: str | Path) -> str:
    """A hash of what files mean, and of what everything of this package means that they import, directly or not.

    A rule carries it as a parameter, so that a change of code makes exactly the results stale that it can change.
    Comments, docstrings and layout change nothing, and the same code has the same hash under Python 3.11 to 3.13. Files
    that are not Python count by their bytes. Modules loaded by name at run time are not seen: pass their files too.
    """
    digest = hashlib.sha256(f"{_GENERATION}\0".encode())
    for name, file in sorted((_name(file), file) for file in code_files(*files)):
        digest.update(f"{name}\0{_meaning(file)}\0".encode())
    return digest.hexdigest()[:16]


def code_files(*files: str | Path) -> set[Path]:
    """These files and those of everything of this package that they import, directly or not.

    Left out are :data:`WITHOUT_INFLUENCE`, what is imported through them alone, and what is imported for types alone,
    under ``if TYPE_CHECKING``.
    """
    found: set[Path] = set()
    waiting = [Path(file).resolve() for file in files]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(_imports(file))
    return found


def _name(file: Path) -> str:
    """A file's path beside the package, which tells one __init__.py from another; else its name alone."""
    beside = _ROOT.parent
    return file.relative_to(beside).as_posix() if file.is_relative_to(beside) else file.name


@cache
def _meaning(file: Path) -> str:
    """A hash of what Python code means, or of another file's bytes."""
    code = "".join(_read(file)[0]).encode() if file.suffix == ".py" else file.read_bytes()
    return hashlib.sha256(code).hexdigest()


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    """The files of this package that a file imports itself."""
    paths = []
    for name in _imported_names(file) if file.suffix == ".py" else ():
        package, *rest = name.split(".")
        if package == _ROOT.name and ".".join(rest) not in WITHOUT_INFLUENCE:
            module = _ROOT.joinpath(*rest)
            # An import runs every package on the way to the module.
            packages = [_ROOT.joinpath(*rest[:depth], "__init__.py") for depth in range(len(rest) + 1)]
            paths += [path for path in (module.with_suffix(".py"), *packages) if path.is_file()]
    return tuple(paths)


def _imported_names(file: Path) -> Iterator[str]:
    """Dotted names of what a file imports; of ``from a import b`` both a and a.b, for b may be a module or not."""
    for node in _read(file)[1]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            module = node.module or ""
            if node.level:  # relative to the package that the file is in, or to one above it
                within = file.parents[node.level - 1].relative_to(_ROOT.parent).parts
                module = ".".join([*within, *filter(None, [module])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@cache
def _read(file: Path) -> tuple[list[str], list[ast.Import | ast.ImportFrom]]:
    """What a Python file means, as pieces of a text, and the imports in it."""
    told: list[str] = []
    imports: list[ast.Import | ast.ImportFrom] = []
    _tell(ast.parse(file.read_bytes()), told, imports)
    return told, imports


def _tell(value: object, told: list[str], imports: list[ast.Import | ast.ImportFrom]) -> None:
    """Append code as text, the kind of each node and its fields that are not empty; and the imports in it.

    Not by ``ast.dump``, whose text differs between versions of Python, as do the fields that nodes have.
    """
    if isinstance(value, ast.AST):
        if isinstance(value, ast.Import | ast.ImportFrom):
            imports.append(value)
        told.append(f"{type(value).__name__}(")
        for name in value._fields:
            field = getattr(value, name, None)
            if isinstance(field, list):
                field = list(_effective(field)) or None
            if field is not None and name != "kind":  # the kind of a constant: u"" is ""
                told.append(f"{name}=")
                _tell(field, told, imports)
        told.append(")")
    elif isinstance(value, list):
        told.append("[")
        for item in value:
            _tell(item, told, imports)
            told.append(",")
        told.append("]")
    else:
        told.append(ascii(value))  # for repr differs with the version of Unicode


def _effective(nodes: list) -> Iterator:
    """Nodes without the statements that do nothing: docstrings and other lone constants, pass, imports for types."""
    for node in nodes:
        if isinstance(node, ast.If) and _is_for_types(node.test):
            yield from _effective(node.orelse)
        elif not (isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))):
            yield node


def _is_for_types(test: ast.expr) -> bool:
    """Whether a condition is ``TYPE_CHECKING`` or ``typing.TYPE_CHECKING``, which never holds while code runs."""
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))
