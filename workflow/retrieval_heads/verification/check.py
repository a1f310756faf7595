"""What a check is, and what it finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from retrieval_heads.verification.made import Made


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.

    Parameters
    ----------
    file : relative to the study's folder.
    wrong : what is wrong with it, as the end of a sentence that begins with the file.
    fix : what to do.
    """

    file: str
    wrong: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.wrong}; {self.fix}."


@dataclass(frozen=True)
class Check:
    """Something that holds for the results of every study.

    Parameters
    ----------
    name : its own.
    about : what holds, a sentence.
    applies : what of a study it is about, such as the files that it looks at; where there is none, nothing is checked.
    problems : what is found in a study where it does not hold.
    """

    name: str
    about: str
    applies: Callable[[Made], Iterable[object]]
    problems: Callable[[Made], Iterable[Problem]]


def check(
    name: str, applies: Callable[[Made], Iterable[object]]
) -> Callable[[Callable[[Made], Iterable[Problem]]], Check]:
    """Make a check of a function that finds problems, whose docstring says what holds.

    Parameters
    ----------
    name, applies : as of :class:`Check`.
    """
    return lambda problems: Check(name, problems.__doc__ or "", applies, problems)


def again(name: str) -> str:
    """What to do about an output that is wrong."""
    return f"delete {name} and run again"


def problem(made: Made, path: str | Path, wrong: str) -> Problem:
    """A problem with an output, which is to be made again."""
    name = made.name(path)
    return Problem(name, wrong, again(name))


def stages(*names: str) -> Callable[[Made], list[Path]]:
    """The files of a stage, in a study that has it and the other ones."""

    def files(made: Made) -> list[Path]:
        parts = [made.parts(name) for name in names]
        return parts[0] if all(parts) else []

    return files


def tables_of(*names: str) -> Callable[[Made], list[str]]:
    """Tables of the folder of tables, in a study that has all of them."""
    return lambda made: made.has(*names)
