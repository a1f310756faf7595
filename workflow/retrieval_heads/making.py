"""What is being made, by which job and how: what tables tell of themselves (:mod:`tables`), and the findings of all.

A job says that it is at work (:mod:`job`), and the loading of its model how that runs (:mod:`model.loading`). So no
script has to pass it on. Nothing in it is a time, a host or a path, by which equal tables would differ.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retrieval_heads.digests import short_digest

_BESIDE_CONFIG = ("code", "content", "files", "scores", "versions")
"""Parameters of rules that are no part of the config: what is told by itself, and paths of what is read."""

_job: Any = None
_model_runs: dict[str, str] = {}


@contextmanager
def by(snakemake) -> Iterator[None]:
    """What is written inside is made by this job."""
    global _job, _model_runs
    before, _job, _model_runs = (_job, _model_runs), snakemake, {}
    try:
        yield
    finally:
        _job, _model_runs = before


def model_runs(**facts: str | None) -> None:
    """Say how the model of the job at work runs, such as its ``dtype``; what is None is not known, and not told."""
    _model_runs.update({name: fact for name, fact in facts.items() if fact is not None})


def told() -> dict[str, Any]:
    """What the job at work tells of itself; nothing where none is.

    Returns
    -------
    Its ``rule``; ``code``, rule → digest of its code; ``config``, the digest of the parts of the config that it depends
    on; ``seed``, if it depends on that itself; and ``models``, name → how it runs, if it asks one.
    """
    if _job is None:
        return {}
    params = dict(_job.params.items())
    found: dict[str, Any] = {
        "rule": _job.rule,
        "code": {_job.rule: params["code"]},
        "config": short_digest({name: value for name, value in params.items() if name not in _BESIDE_CONFIG}),
    }
    config = params.get("config")
    seed = params.get("seed", config.get("seed") if isinstance(config, Mapping) else None)
    if seed is not None:
        found["seed"] = seed
    run = {**({"content": content} if (content := params.get("content")) else {}), **_model_runs}
    if run:
        found["models"] = {_job.wildcards.model: run}
    return found


def tables_read() -> list[str]:
    """The tables of the study that the job at work is given."""
    if _job is None:
        return []
    study = Path(_job.config["results"], _job.config["study"])
    return [path for path in _job.input if path.endswith(".parquet") and Path(path).is_relative_to(study)]
