"""A model of the Hugging Face hub: ``{hub: owner/name, revision: commit or tag}``."""

import json
import re
from pathlib import Path

from retrieval_heads.errors import StudyError, disk_trouble
from retrieval_heads.model.sources import path as local

KEYS = {
    "hub": {"type": "string", "pattern": r"\A\S+\Z", "description": "An id on the Hugging Face hub, owner/name."},
    "revision": {
        "type": "string",
        "pattern": r"\A\S+\Z",
        "description": "Commit, tag or branch; a commit makes the study repeatable.",
    },
}

RECORD = ".hub.json"
"""The file in a prepared model's folder that tells its ``commit``, beside the source in the config."""

# Code of a model comes along; it runs only where the config trusts it.
_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py"]


def files(source: dict) -> list[Path]:
    """None: the commit stands for them that the revision was when it was fetched, also where it moves, as main does."""
    return []


def check(source: dict, key: str) -> None:
    """Refuse an id that cannot be one; whether it exists is known when it is fetched."""
    name = source["hub"]
    well_formed = re.fullmatch(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", name, re.ASCII)
    if not well_formed or len(name) > 96 or "--" in name or ".." in name or name.endswith((".git", "-", ".")):
        raise StudyError(f"{key}.source.hub: {name} is no hub id; write owner/name.")


def prepare(source: dict, folder: Path) -> None:
    """Fetch config, safetensors and tokenizer, or take them from the local hub cache, and link them."""
    # Imported here, for a check at the start of the workflow should take no time.
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, revision = source["hub"], source["revision"]
    try:
        fetched = snapshot_download(name, revision=revision, allow_patterns=_FILES)
    except GatedRepoError as error:
        raise StudyError(
            f"{name}: this model is gated; accept its licence on its hub page and run hf auth login, or give a local "
            "folder with it as source.path."
        ) from error
    except RepositoryNotFoundError as error:
        raise StudyError(
            f"{name}: the hub has no such model, or hides it from you; check source.hub, and if the model is private, "
            "run hf auth login."
        ) from error
    except RevisionNotFoundError as error:
        raise StudyError(f"{name}: it has no revision {revision}; check source.revision.") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        if (trouble := disk_trouble(error, Path(HF_HUB_CACHE))) is not None:
            raise StudyError(trouble) from error
        if _status(error) in (401, 403):
            raise StudyError(
                f"{name}: the hub refuses access to it; run hf auth login with a token that may read this model."
            ) from error
        raise StudyError(
            f"{name} at {revision}: cannot be fetched from the hub ({_reason(error)}) and is not in the local cache; "
            "try again later, or give a local folder with it as source.path."
        ) from error
    local.check({"path": fetched}, f"models of hub {name}")
    local.prepare({"path": fetched}, folder)
    # The hub's cache has a folder for each commit, named after it.
    record = source | {"commit": Path(fetched).name}
    (folder / RECORD).write_text(json.dumps(record, sort_keys=True) + "\n", encoding="utf-8")


def _status(error: BaseException) -> int | None:
    """The status that the hub answered with, if it answered."""
    return getattr(getattr(error.__cause__ or error, "response", None), "status_code", None)


def _reason(error: BaseException) -> str:
    """Why a model could not be had: where it is not in the cache either, that is why it could not be fetched."""
    return str(error.__cause__ or error).strip().partition("\n")[0].rstrip(".")
