"""What an output is: its digest, and those of all that it was made from, in a manifest that lies beside it.

A job writes the manifests of its outputs when it has ended well: ``{output}.manifest.json``, and ``.manifest.json`` in
an output that is a folder, so that it goes where the folder goes. A job that reads an output of the study reads its
manifest first. So what was altered, cut off or swapped by other hands is refused, and never read.

Paths in manifests are relative to the study's folder of results, which can be moved. Nothing in a manifest tells of a
time, a machine or a place.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.digests import digest, file_digest, kept_digest
from retrieval_heads.errors import StudyError

NAME = ".manifest.json"
"""What a manifest is called, behind the name of a file or in a folder."""

# What lies in a folder that is an output, and is no part of it; the other is Snakemake's.
_NO_PART = {NAME, ".snakemake_timestamp"}
# Prepared models, which studies share, as seen from the folder of a study.
_MODELS = "../models"


@dataclass(frozen=True)
class Manifest:
    """What is known of an output.

    Parameters
    ----------
    path : of the output, relative to the study's folder; that of a prepared model is beside it, in ``../models``.
    rule, wildcards : of the job that made it.
    sha256 : digest of a file; of a folder, that of the names and digests of its files.
    size : bytes, of a folder those of all its files.
    files : of a folder, the ``sha256`` and ``size`` of each file by its path in it; of a file None.
    inputs : digest of each input that is an output of the study, or a prepared model, by its path.
    given : digest of each other input, of the user or of the project, by its path as the config or the rule has it; of
        absolute ones, from the folder that they share.
    params : digest of the rule's parameters, the code left out.
    code : digest of the rule's code.
    """

    path: str
    rule: str
    wildcards: Mapping[str, str]
    sha256: str
    size: int
    files: Mapping[str, Mapping[str, Any]] | None
    inputs: Mapping[str, str]
    given: Mapping[str, str]
    params: str
    code: str

    @property
    def job(self) -> str:
        """The job that made it, in a sentence."""
        values = ", ".join(f"{name} {value}" for name, value in self.wildcards.items())
        return f"{self.rule} ({values})" if values else self.rule


def manifest_file(output: str | Path) -> Path:
    """Where the manifest of an output lies."""
    output = Path(output)
    return output / NAME if output.is_dir() else output.with_name(f"{output.name}{NAME}")


def relative(output: str | Path, study: str | Path) -> str:
    """The path of an output as manifests have it.

    Parameters
    ----------
    study : the folder of the study's results.
    """
    return Path(os.path.relpath(output, study)).as_posix()


class NotAsMadeError(StudyError):
    """An output is not what a job of the study has made at its path.

    Parameters
    ----------
    file : the output, or its manifest.
    wrong : what is wrong with it.
    fix : what to do.
    """

    def __init__(self, file: Path, wrong: str, fix: str):
        super().__init__(f"{file}: {wrong}; {fix}.")
        self.file, self.wrong, self.fix = file, wrong, fix


def read(output: str | Path) -> Manifest:
    """The manifest of an output.

    Raises
    ------
    NotAsMadeError
        when there is none, or when it is not as it was written.
    """
    file = manifest_file(output)
    again = f"delete {output} and run again"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotAsMadeError(Path(output), f"has no manifest {file.name}, so it may be anything", again) from None
    except (OSError, ValueError):
        values = None
    seal = values.pop("seal", None) if isinstance(values, dict) else None
    if seal is None or seal != digest(values):
        raise NotAsMadeError(file, "this manifest is not as it was written", again)
    return Manifest(**values)


def require_as_made(output: str | Path, study: str | Path, found: str | None = None) -> Manifest:
    """The manifest of an output that is what the study made at its path.

    Parameters
    ----------
    study : the folder of the study's results.
    found : digest of the output, where it is known; else it is read.

    Raises
    ------
    NotAsMadeError
        when it is missing or altered, or when it was made at another path.
    """
    output = Path(output)
    if not output.exists():
        raise NotAsMadeError(output, "is missing", "run again")
    manifest, again = read(output), f"delete {output} and run again"
    # What Snakemake links to from its cache may have another name where a colleague made it.
    if manifest.path != relative(output, study) and not manifest_file(output).is_symlink():
        raise NotAsMadeError(output, f"this is {manifest.path}, made by {manifest.job}", again)
    if (found or _content(output, Path(study)).sha256) != manifest.sha256:
        raise NotAsMadeError(output, f"is not as {manifest.job} wrote it", again)
    return manifest


@dataclass(frozen=True)
class Read:
    """What a job reads: ``inputs`` and ``given`` as its manifests have them."""

    inputs: Mapping[str, str]
    given: Mapping[str, str]


def check_inputs(snakemake) -> Read:
    """What a job reads.

    Raises
    ------
    NotAsMadeError
        when an input that is an output of the study, or a prepared model, is not as it was made.
    """
    study = _study(snakemake)
    files = list(dict.fromkeys(map(str, snakemake.input)))
    own = [file for file in files if _is_output(file, study, snakemake.config)]
    given = [file for file in files if file not in own]
    with ThreadPoolExecutor(8) as pool:
        manifests = list(pool.map(lambda file: require_as_made(file, study), own))
        # A folder of the user's is a model: the rule says what is in it.
        digests = list(
            pool.map(lambda file: snakemake.params.content if Path(file).is_dir() else file_digest(Path(file)), given)
        )
    return Read(
        {relative(file, study): made.sha256 for file, made in zip(own, manifests, strict=True)},
        dict(zip(_names(given), digests, strict=True)),
    )


def write(snakemake, read: Read) -> None:
    """Write the manifests of a job's outputs, each whole or not at all.

    Parameters
    ----------
    read : what the job has read, from :func:`check_inputs`.
    """
    study = _study(snakemake)
    params = dict(snakemake.params.items())
    code = params.pop("code", "")
    for output in map(Path, snakemake.output):
        content = _content(output, study)
        manifest = Manifest(
            path=relative(output, study),
            rule=snakemake.rule,
            wildcards={name: str(value) for name, value in snakemake.wildcards.items()},
            sha256=content.sha256,
            size=content.size,
            files=content.files,
            inputs=read.inputs,
            given=read.given,
            params=digest(json.loads(json.dumps(params, default=str))),
            code=code,
        )
        values = asdict(manifest)
        with atomic_file(manifest_file(output)) as file:
            text = json.dumps(values | {"seal": digest(values)}, sort_keys=True, indent=1, ensure_ascii=False)
            file.write_text(f"{text}\n", encoding="utf-8")


@dataclass(frozen=True)
class Content:
    """What is in an output: as in its manifest."""

    sha256: str
    size: int
    files: dict[str, dict[str, Any]] | None


def files_of(output: str | Path) -> list[Path]:
    """The files that are an output: itself, or those in it."""
    output = Path(output)
    inside = output.rglob("*") if output.is_dir() else [output]
    return sorted(file for file in inside if file.is_file() and file.name not in _NO_PART)


def content(output: str | Path, results: str | Path | None = None) -> Content:
    """What is in an output now.

    Parameters
    ----------
    results : the config's ``results``, where digests of large files are kept, so that they are read once; without it,
        all is read.
    """
    output = Path(output)
    if not output.is_dir():
        return Content(file_digest(output), output.stat().st_size, None)
    files = files_of(output)
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda file: kept_digest(file, results) if results else file_digest(file), files))
    names = [file.relative_to(output).as_posix() for file in files]
    sizes = [file.stat().st_size for file in files]
    of_files = {name: {"sha256": found, "size": size} for name, found, size in zip(names, digests, sizes, strict=True)}
    return Content(digest(list(zip(names, digests, strict=True))), sum(sizes), of_files)


def _content(output: Path, study: Path) -> Content:
    """The same, where jobs need not read a prepared model again that has not changed since."""
    return content(output, study.parent if _is_model(relative(output, study)) else None)


def _study(snakemake) -> Path:
    return Path(snakemake.config["results"], snakemake.config["study"])


def _is_output(file: str, study: Path, config: Mapping) -> bool:
    """Whether a job of a study made a file: what is in the study's folder, and prepared models."""
    path = relative(file, study)
    if _is_model(path):
        # The user may name one as a local folder.
        sources = [model.get("source", {}).get("path") for model in config.get("models", {}).values()]
        return path not in {relative(folder, study) for folder in sources if folder}
    return not path.startswith("../")


def _is_model(path: str) -> bool:
    return path.startswith(f"{_MODELS}/")


def _names(given: Iterable[str]) -> Iterator[str]:
    """How manifests call files of the user: as they are given; absolute ones from the folder that they share."""
    files = list(map(Path, given))
    parents = [file.parent for file in files if file.is_absolute()]
    for file in files:
        if file.is_absolute():
            yield f"…/{file.relative_to(os.path.commonpath(parents)).as_posix()}"
        else:
            yield file.as_posix()
