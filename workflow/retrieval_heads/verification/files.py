"""Checks of files: whether they are there, whole, as they were made, and made from each other."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq

from retrieval_heads import manifests
from retrieval_heads.manifests import NotAsMadeError
from retrieval_heads.model.files import header_of
from retrieval_heads.study.config import told
from retrieval_heads.verification.check import Problem, again, check
from retrieval_heads.verification.made import Made


def _all_outputs(made: Made) -> list[str]:
    return made.outputs


@check("present", _all_outputs)
def missing(made: Made) -> Iterator[Problem]:
    """All that the config asks for is there, and all that it was made from."""
    asked = {made.name(path) for files in made.asked.values() for path in files}
    for name in made.outputs:
        if not made.path(name).exists():
            # What nobody asks for is made again for what is made from it.
            yield Problem(name, "is missing", "run again" if name in asked else again(made.users[name][0]))


@check("whole", _all_outputs)
def broken(made: Made) -> Iterator[Problem]:
    """Every file is one whole file of its kind, down to its end."""
    for name in made.outputs:
        for file in manifests.files_of(made.path(name)):
            if wrong := incomplete(file):
                yield Problem(made.name(file), wrong, again(name))


def incomplete(file: Path) -> str | None:
    """Why a file is not one whole file of its kind, by the ending of its name; None where it is."""
    if file.stat().st_size == 0:
        return "is empty"
    try:
        _READ.get(file.suffix, Path.read_bytes)(file)
    except (ValueError, OSError, EOFError, ElementTree.ParseError, struct.error, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:80]
        return f"is no whole {file.suffix.removeprefix('.').upper()} file ({reason})"
    return None


def _read_parquet(file: Path) -> None:
    with pq.ParquetFile(file) as opened:
        for number in range(opened.num_row_groups):
            opened.read_row_group(number)


def _read_json(file: Path) -> None:
    json.loads(file.read_text(encoding="utf-8"))


def _read_svg(file: Path) -> None:
    if not ElementTree.parse(file).getroot().tag.endswith("svg"):
        raise ValueError("its root is no svg element")


def _read_page(file: Path) -> None:
    if not file.read_text(encoding="utf-8").rstrip().lower().endswith("</html>"):
        raise ValueError("it does not end with </html>")


def _read_text(file: Path) -> None:
    if not file.read_text(encoding="utf-8").endswith("\n"):
        raise ValueError("its last line has no end")


def _read_png(file: Path) -> None:
    """Read the chunks of an image to the last, each with its checksum (PNG specification, section 5)."""
    content, place = file.read_bytes(), 8
    if content[:place] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("it does not begin as one")
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        end = place + 12 + length
        if struct.unpack(">I", content[end - 4 : end])[0] != zlib.crc32(content[place + 4 : end - 4]):
            raise ValueError(f"the checksum of its part {kind.decode('latin-1')} is wrong")
        place = end


_READ: dict[str, Callable[[Path], object]] = {
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".svg": _read_svg,
    ".html": _read_page,
    ".md": _read_text,
    ".csv": _read_text,
    ".txt": _read_text,
    ".png": _read_png,
    ".safetensors": header_of,
}
"""The ending of a file's name → what reads it to its end."""


@check("as made", _all_outputs)
def altered(made: Made) -> Iterator[Problem]:
    """Every output has its manifest, is what that says, and lies where it was made."""
    yield from _not_as_made(made, made.outputs)


@check("prepared models", lambda made: made.models)
def altered_models(made: Made) -> Iterator[Problem]:
    """Every prepared model that is here is as it was made."""
    yield from _not_as_made(made, made.models)


def _not_as_made(made: Made, names: list[str]) -> Iterator[Problem]:
    for name in names:
        if (path := made.path(name)).exists():
            try:
                # All of it is read, whatever is known of it already.
                manifests.require_as_made(path, made.folder, manifests.content(path).sha256)
            except NotAsMadeError as error:
                yield Problem(made.name(error.file), error.wrong, again(name))


@check("made from each other", lambda made: [path for manifest in made.manifests.values() for path in manifest.inputs])
def made_from_others(made: Made) -> Iterator[Problem]:
    """Every output was made from what lies there now."""
    for name, users in made.users.items():
        if name in made.manifests:
            digest = made.manifests[name].sha256
            from_others = [user for user in users if made.manifests[user].inputs[name] != digest]
            # If it is another for all, it was put here; if for some, these were.
            if from_others and len(from_others) == len(users):
                more = f" and {len(users) - 1} others" if len(users) > 1 else ""
                yield Problem(name, f"is not the one that {users[0]}{more} were made from", again(name))
            else:
                for user in from_others:
                    yield Problem(user, f"was made from another {name} than the one that is there", again(user))


@check("made together", lambda made: list(made.manifests))
def of_other_jobs(made: Made) -> Iterator[Problem]:
    """The outputs of a job were made from the same inputs by the same code, with the same parameters."""
    jobs: dict[str, list[str]] = {}
    for name, manifest in made.manifests.items():
        jobs.setdefault(manifest.job, []).append(name)
    for job, names in jobs.items():
        told = {json.dumps([m.inputs, m.given, m.params, m.code]) for m in map(made.manifests.__getitem__, names)}
        if len(told) > 1:
            # What nothing else was made from, so that the chain of digests does not tell of it.
            first = next((name for name in names if name not in made.users), names[0])
            yield Problem(first, f"was not made in one with the other outputs of {job}", again(first))


@check("config", lambda made: made.asked["for_programs"])
def of_another_config(made: Made) -> Iterator[Problem]:
    """The findings are of the config."""
    name = made.name(made.asked["for_programs"][0])
    if made.path(name).is_file() and not incomplete(made.path(name)):
        found = json.loads(made.path(name).read_text(encoding="utf-8"))["config"]
        asked = json.loads(json.dumps(told(made.config)))
        differ = [key for key in {**asked, **found} if asked.get(key) != found.get(key)]
        if differ:
            yield Problem(name, f"is of another config, which differs in {', '.join(differ)}", "run again")


FILES = (missing, broken, altered, made_from_others, of_other_jobs, of_another_config, altered_models)
"""The checks of files."""
