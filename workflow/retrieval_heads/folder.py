"""Things that come one to a file in a folder of this package: methods, model sources, figures."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

_ROOT = Path(__file__).parent


def files(kind: str) -> dict[str, Path]:
    """Name → file of all there are of a kind, such as ``methods``. What begins with an underscore is none of them."""
    return {path.stem: path for path in sorted((_ROOT / kind).glob("*.py")) if not path.stem.startswith("_")}


def names(kind: str) -> list[str]:
    """The names there are of a kind."""
    return list(files(kind))


def module(kind: str, name: str) -> ModuleType:
    """The one of a kind that has this name."""
    return import_module(f"{_ROOT.name}.{kind}.{name}")
