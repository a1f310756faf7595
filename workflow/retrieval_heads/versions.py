"""Which versions of the libraries that calculate a result is made with."""

import ast
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from retrieval_heads.errors import StudyError
from retrieval_heads.job import log

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
"""What a model's numbers come from."""

MODEL_ENVIRONMENT = tuple(Path(__file__).parents[2] / "envs" / name for name in ("model.yaml", "model.post-deploy.sh"))
"""The files that define the conda environment of jobs that ask a model."""


def library_versions() -> dict[str, str]:
    """Library → the version that is installed here, with its build where it has one, as in ``2.13.0+cpu``.

    Raises
    ------
    StudyError
        when one is not installed.
    """
    # Not by importing them, which takes seconds.
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            raise StudyError(
                f"{name}: this Python package is not installed; run pip install as docs/workflow.md says for it."
            ) from None
    return found


def pinned_versions() -> dict[str, str]:
    """Library → the version that the conda environment of jobs that ask a model has, as far as it is pinned there."""
    pins: dict[str, str] = {}
    for entry in yaml.safe_load(MODEL_ENVIRONMENT[0].read_text(encoding="utf-8"))["dependencies"]:
        for spec in entry["pip"] if isinstance(entry, dict) else [entry]:
            name, _, pinned = spec.partition(" ")
            pins[name] = pinned.lstrip("=")
    return {name: pins[name] for name in LIBRARIES}


def recorded_versions(params: Iterable[str]) -> dict[str, str] | None:
    """The versions among the parameters that Snakemake has recorded of an output, each as Python writes it."""
    for param in params:
        if param.startswith("{"):
            value = ast.literal_eval(param)
            if tuple(value) == LIBRARIES:
                return value
    return None


def require_versions(planned: Mapping[str, str], accept: bool) -> None:
    """Hold the libraries of this process against those that count for a job.

    Parameters
    ----------
    planned : library → version, or the beginning of one up to a dot, as environments pin it.
    accept : whether others are told in the log, and not refused.

    Raises
    ------
    StudyError
        when the job would run with others, unless they are accepted.
    """
    here = library_versions()
    other = {name: wanted for name, wanted in planned.items() if not _fits(here[name], wanted)}
    if not other:
        return
    told = ", ".join(f"{name} {here[name]} in place of {wanted}" for name, wanted in other.items())
    if not accept:
        raise StudyError(
            f"compute.accept_versions: this job would run with {told}; type the same command again, give jobs the "
            "environment that Snakemake runs in, or set the key to true."
        )
    log.info("accepted versions: %s", told)


def _fits(version: str, wanted: str) -> bool:
    return version == wanted or f"{version.partition('+')[0]}.".startswith(f"{wanted}.")
