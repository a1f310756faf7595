"""A model of the Hugging Face hub: ``{hub: owner/name, revision: commit or tag}``."""

import re
from pathlib import Path

from retrieval_heads.errors import StudyError
from retrieval_heads.model_sources import path as local

_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


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
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    name, revision = source["hub"], source["revision"]
    try:
        fetched = snapshot_download(name, revision=revision, allow_patterns=_FILES)
    except GatedRepoError as error:
        raise StudyError(
            f"{name}: this model is gated; accept its licence on its hub page, then run hf auth login."
        ) from error
    except RepositoryNotFoundError as error:
        raise StudyError(f"{name}: the hub has no such model; check models.*.source.hub.") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise StudyError(
            f"{name} at {revision}: cannot be fetched from the hub and is not in the local cache."
        ) from error
    local.check({"path": fetched}, f"models of hub {name}")
    local.prepare({"path": fetched}, folder)
