"""Which code a result depends on."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent
_PACKAGE = _ROOT.name


def code_digest(*files: str | Path) -> str:
    """A hash of files and of everything of this package that they import, directly or not.

    A rule carries it as a parameter, so that a change of code makes exactly the results stale that it can change.
    Modules loaded by name at run time are not seen: pass their files too.
    """
    digest = hashlib.sha256()
    for file in sorted(code_files(*files)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def code_files(*files: str | Path) -> set[Path]:
    """These files and those of everything of this package that they import, directly or not."""
    found: set[Path] = set()
    waiting = [Path(file).resolve() for file in files]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(_imports(file))
    return found


@cache
def _imports(file: Path) -> Iterable[Path]:
    if file.suffix != ".py":
        return ()
    names = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    paths = []
    for name in names:
        package, *rest = name.split(".")
        if package == _PACKAGE:
            base = _ROOT.joinpath(*rest)
            # An import runs every package on the way to the module.
            packages = [_ROOT.joinpath(*rest[:depth], "__init__.py") for depth in range(len(rest) + 1)]
            paths += [path for path in (base.with_suffix(".py"), *packages) if path.is_file()]
    return tuple(paths)
