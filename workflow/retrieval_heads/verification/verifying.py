"""All checks of a study's results, and what came of them: for programs, and in words."""

import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.digests import digest
from retrieval_heads.errors import StudyError
from retrieval_heads.job import log
from retrieval_heads.reading import read_json
from retrieval_heads.verification.ablation import ABLATIONS
from retrieval_heads.verification.check import Check, Problem
from retrieval_heads.verification.files import FILES
from retrieval_heads.verification.forms import FORMS
from retrieval_heads.verification.made import Made
from retrieval_heads.verification.prompts import PROMPTS
from retrieval_heads.verification.rankings import RANKINGS

FORMAT = 1
"""The version of the form of verification.json."""

CHECKS = (*FILES, *FORMS, *PROMPTS, *RANKINGS, *ABLATIONS)
"""All checks, in the order in which they are made and told."""

_TOLD = 20
"""How many problems the summary names; the file for programs has all."""


@cache
def schema() -> dict:
    """The JSON schema of verification.json."""
    return json.loads(Path(__file__).with_name("verification.schema.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Parameters
    ----------
    check : that was made.
    looked_at : of how many things it looked at each.
    problems : where it does not hold.
    hindered : why it could not be made, if something that it reads is not readable.
    """

    check: Check
    looked_at: int
    problems: tuple[Problem, ...]
    hindered: str | None = None

    @property
    def word(self) -> str:
        """``failed``, ``not checked`` (where there is nothing to look at, or no way to) or ``passed``."""
        if self.problems:
            return "failed"
        return "not checked" if self.hindered or not self.looked_at else "passed"


@dataclass(frozen=True)
class Verification:
    """What came of all checks of a study.

    Parameters
    ----------
    study : its name.
    results : digest of all its outputs: two folders of one study that have the same hold the same results.
    outcomes : of each check.
    began, seconds, host : when, for how long and where it was verified.
    """

    study: str
    results: str
    outcomes: tuple[Outcome, ...]
    began: datetime
    seconds: float
    host: str

    @property
    def passed(self) -> bool:
        """Whether all that could be checked holds, and nothing stood in the way of a check."""
        return not any(outcome.problems or outcome.hindered for outcome in self.outcomes)

    @property
    def problems(self) -> list[Problem]:
        """All that are not as they should be."""
        return [problem for outcome in self.outcomes for problem in outcome.problems]

    def data(self) -> dict[str, Any]:
        """The outcome for programs, as :func:`schema` describes it."""
        return {
            "format": FORMAT,
            "study": self.study,
            "results": self.results,
            "outcome": "passed" if self.passed else "failed",
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "host": self.host,
            "checks": [
                {
                    "name": outcome.check.name,
                    "about": outcome.check.about,
                    "outcome": outcome.word,
                    "looked_at": outcome.looked_at,
                    "hindered": outcome.hindered,
                    "problems": [vars(problem) for problem in outcome.problems],
                }
                for outcome in self.outcomes
            ],
        }

    def summary(self) -> str:
        """The outcome in words: one line for each check that does not hold, and for what is wrong."""
        lines = []
        for outcome in self.outcomes:
            if outcome.problems or outcome.hindered:
                lines.append(f"{outcome.word}: {outcome.check.name}. {outcome.check.about}")
                lines += [f"  {problem}" for problem in outcome.problems[:_TOLD]]
                if len(outcome.problems) > _TOLD:
                    lines.append(f"  and {len(outcome.problems) - _TOLD} more, in verification.json.")
                if outcome.hindered:
                    lines.append(f"  {outcome.hindered}")
        words = [outcome.word for outcome in self.outcomes]
        told = [f"{words.count(word)} {word}" for word in ("passed", "failed", "not checked") if word in words]
        return "\n".join([*lines, f"{self.study}: {len(words)} checks, {', '.join(told)}."])


def verify(folder: str | Path, config: Mapping | None = None) -> Verification:
    """Check the results of a study. Nothing is changed, and nothing made again.

    Parameters
    ----------
    folder : of the results, wherever it lies.
    config : the study's, with all defaults filled in; that of the findings in the folder, where none is given.

    Raises
    ------
    StudyError
        when there are no results, or when nothing tells what the study asks for.
    """
    folder, start, began = Path(folder), time.monotonic(), datetime.now(UTC).astimezone()
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder; give that of a finished study, such as results/smollm2.")
    made = Made(folder, config) if config is not None else _made_by_findings(folder)
    outcomes = tuple(outcome(check, made) for check in CHECKS)
    results = digest({name: manifest.sha256 for name, manifest in made.manifests.items()})
    name = made.config["study"]
    return Verification(name, results, outcomes, began, time.monotonic() - start, platform.node())


def outcome(check: Check, made: Made) -> Outcome:
    """What comes of one check of a study's results."""
    looked_at, problems = 0, list[Problem]()
    try:
        if looked_at := len(list(check.applies(made))):
            problems.extend(check.problems(made))
    except StudyError as error:
        return Outcome(check, looked_at, tuple(problems), str(error))
    except (LookupError, ValueError, TypeError) as error:
        # One of its tables lacks what it looks up in another: that alone is what other checks are for.
        reason = f"What it looks at does not go together ({type(error).__name__}: {error})."
        return Outcome(check, looked_at, tuple(problems), reason)
    return Outcome(check, looked_at, tuple(problems))


def report(
    found: Verification, results: str | Path, to: str | Path | None = None, say: Callable[[str], object] = log.info
) -> Path:
    """Write ``verification.json``, whole or not at all, and say what it comes to.

    Parameters
    ----------
    results : the folder that was verified.
    to : the folder to write it into; ``results``, where not given.
    say : says the summary.

    Returns
    -------
    The file.

    Raises
    ------
    StudyError
        when something is not as it should be.
    """
    path = Path(to or results, "verification.json")
    with atomic_file(path) as file:
        file.write_text(json.dumps(found.data(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    say(found.summary())
    if not found.passed:
        raise StudyError(f"{results}: is not as it should be; {path} has all that is wrong.")
    return path


def _made_by_findings(folder: Path) -> Made:
    """The results in a folder, with the config that its findings tell."""
    file = folder / "findings.json"
    if not file.is_file():
        raise StudyError(f"{file}: is missing, so nobody can tell what the study asks for; run the study again.")
    findings = read_json(file, "run the study again")
    try:
        return Made(folder, findings["config"])
    except (LookupError, TypeError, AttributeError):
        raise StudyError(f"{file}: has no config of this version; run the study again.") from None
