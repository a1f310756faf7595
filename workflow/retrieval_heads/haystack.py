"""The prose that surrounds a needle."""

from pathlib import Path

from retrieval_heads.errors import StudyError


def load_haystack(folder: str | Path) -> str:
    """All ``*.txt`` files of a folder, in the order of their names, with a blank line between them.

    Raises
    ------
    StudyError
        when the folder is missing, has no such file, or has one that is empty or no UTF-8 text.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder; set the haystack to one with prose in *.txt files.")
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise StudyError(f"{folder}: this folder holds no *.txt file; put the prose of the haystack there.")
    return "\n\n".join(_read(path) for path in paths)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read as UTF-8 text; save it as such or remove it.") from error
    if not text:
        raise StudyError(f"{path}: this file is empty; write prose into it or remove it.")
    return text
