"""A local folder as ``save_pretrained`` writes it: ``{path: /where/it/is}``."""

from pathlib import Path

from retrieval_heads.errors import StudyError
from retrieval_heads.model.files import require_whole

KEYS = {"path": {"type": "string", "format": "path", "description": "A local folder as save_pretrained writes it."}}


def files(source: dict) -> list[Path]:
    """All that a model or tokenizer may be loaded from: what lies there but for hidden files and Markdown."""
    folder = Path(source["path"])
    found = [file for file in folder.iterdir() if not file.name.startswith(".") and file.suffix.lower() != ".md"]
    return sorted(file for file in (*found, *folder.glob("additional_chat_templates/*.jinja")) if file.is_file())


def check(source: dict, key: str) -> None:
    """Refuse a folder that is not there, lacks config, safetensors or tokenizer, or has some that are not whole."""
    folder = Path(source["path"])
    for needed in ("config.json", "*.safetensors", "tokenizer*.json"):
        if not any(folder.glob(needed)):
            raise StudyError(f"{key}.source.path: {folder} has no {needed}; give a folder written by save_pretrained.")
    require_whole(folder)


def prepare(source: dict, folder: Path) -> None:
    """Link the files, which stay where they are; the workflow itself uses a local folder without that."""
    check(source, "models")
    for file in Path(source["path"]).iterdir():
        if file.is_file():
            (folder / file.name).symlink_to(file.resolve())
