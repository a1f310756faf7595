"""What made the findings: the workflow, the config, and each model as it ran."""

from dataclasses import dataclass
from typing import Any

from retrieval_heads.digests import short_digest
from retrieval_heads.plain_text import printable
from retrieval_heads.release import VERSION
from retrieval_heads.study.study import Study
from retrieval_heads.versions import LIBRARIES

FACTS = {
    "content": "Content",
    "commit": "Commit",
    "dtype": "Precision",
    "device": "Device",
    "threads": "Threads",
    "quantization": "Quantization",
    **{name: name for name in LIBRARIES},
}
"""What is known of how a model ran, by its key in ``made_with``: what it is called. In the order to show them in."""

_SHORT = {"content", "commit"}
_SHOWN = 12


@dataclass(frozen=True)
class Provenance:
    """What made the findings of a study.

    Parameters
    ----------
    study : the study.
    code : the digest of the code of all rules that made its tables and findings.
    config : that of the config with all defaults filled in, wherever results are put.
    """

    study: Study
    code: str
    config: str

    @property
    def workflow(self) -> str:
        """The workflow and the config, in words."""
        return f"Version {VERSION} of this workflow (code {self.code}, config {self.config})"

    @property
    def head(self) -> str:
        """All in one line, to stand above everything."""
        models = "".join(
            f"; {self.study.label('model', model)}: "
            + ", ".join(f"{name} {shown(name, run[name])}" for name in FACTS if name in run)
            for model in self.study.in_config_order("model", self.study.model_runs)
            for run in [self.study.model_runs[model]]
        )
        return f"Made with: {self.workflow.replace('Version', 'version')}, seed {self.study.seed}{models}."

    @property
    def data(self) -> dict[str, Any]:
        """The same for programs, with digests as long as they are."""
        return {
            "version": VERSION,
            "code": self.code,
            "rules": dict(self.study.made_with.get("code", {})),
            "config": self.config,
            "seed": self.study.seed,
            "models": {model: dict(run) for model, run in self.study.model_runs.items()},
        }


def provenance(study: Study) -> Provenance:
    """What made the findings of a study."""
    config = {name: value for name, value in study.config.items() if name != "results"}
    return Provenance(study, short_digest(study.made_with.get("code", {})), short_digest(config))


def shown(name: str, value: str) -> str:
    """A fact as readers see it, in a line: of long digests the beginning."""
    value = printable(value)
    return ", ".join(one[:_SHOWN] for one in value.split(", ")) if name in _SHORT else value
