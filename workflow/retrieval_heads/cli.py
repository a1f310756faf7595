"""The command line: ``retrieval-heads``, or ``python -m retrieval_heads.cli`` where the package is not installed."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError, machine_trouble
from retrieval_heads.logs import screen
from retrieval_heads.plain_text import printable, printable_lines


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Parameters
    ----------
    about : what it does, a sentence.
    arguments : adds its arguments to its parser.
    run : does it, given their values. It imports what it needs itself, so that the others begin at once.
    """

    about: str
    arguments: Callable[[argparse.ArgumentParser], object]
    run: Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand, and return the exit status: 1 after an error that the user can put right, which is printed.

    Parameters
    ----------
    arguments : those of this process, where none are given.
    """
    parser = argparse.ArgumentParser(prog="retrieval-heads", description="What to do with studies and their results.")
    subparsers = parser.add_subparsers(required=True, metavar="command")
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.about, description=command.about)
        command.arguments(subparser)
        subparser.set_defaults(run=command.run)
    given = parser.parse_args(arguments)
    logging.getLogger("retrieval_heads").addHandler(to_screen := screen())
    try:
        given.run(given)
        sys.stdout.flush()
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads has seen enough, as head has; what is left to flush goes nowhere.
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
    except Exception as error:
        if (trouble := machine_trouble(error)) is None:
            raise
        print(printable(trouble), file=sys.stderr)
        return 1
    finally:
        logging.getLogger("retrieval_heads").removeHandler(to_screen)
    return 0


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="the folder of a finished study, such as results/smollm2")
    parser.add_argument("b", metavar="B", help="that of another")
    parser.add_argument("--to", metavar="FOLDER", help="where to write; comparisons, beside A, where not given")


def _compare(given: argparse.Namespace) -> None:
    from retrieval_heads.comparison.comparing import as_json, compare
    from retrieval_heads.comparison.markdown import markdown

    found = compare(given.a, given.b)
    a, b = (Path(folder).resolve() for folder in (given.a, given.b))
    folder = Path(given.to) if given.to else Path(os.path.relpath(a.parent / "comparisons"))
    text = markdown(found)
    written = _write({folder / f"{a.name}-{b.name}.md": text, folder / f"{a.name}-{b.name}.json": as_json(found)})
    print(text)
    _say(f"Written to {written}")


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", metavar="RESULTS", help="the folder of a finished study, such as results/smollm2")
    parser.add_argument("--to", metavar="FOLDER", help="where to write verification.json; RESULTS, where not given")


def _verify(given: argparse.Namespace) -> None:
    from retrieval_heads.verification.verifying import report, verify

    found = verify(given.results)
    _say(f"Written to {report(found, given.results, given.to, lambda summary: print(printable_lines(summary)))}")


def _crate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", metavar="RESULTS", help="the folder of a finished study, such as results/smollm2")


def _crate(given: argparse.Namespace) -> None:
    try:
        from retrieval_heads.ro_crate import write_crate
    except ModuleNotFoundError as error:
        raise StudyError(
            f"{error.name}: this package is not installed; run pip install --no-deps -r requirements.txt."
        ) from error

    _say(f"Written to {write_crate(given.results)}")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a study's config, such as config/config.yaml")


def _check(given: argparse.Namespace) -> None:
    from retrieval_heads.preflight import check_file

    check_file(given.config)
    print(printable(f"{given.config}: as far as can be known before any work, nothing is wrong."))


def _say(line: str) -> None:
    """Say something beside what the command writes."""
    print(printable(line), file=sys.stderr)


def _write(texts: dict[Path, str]) -> str:
    """Write files whole or not at all, and tell where they are."""
    for path, text in texts.items():
        with atomic_file(path) as file:
            file.write_text(text, encoding="utf-8")
    return " and ".join(map(str, texts))


COMMANDS = {
    "check": Command(
        "Say what is wrong with a study's config, or with what it names, before any work.",
        _check_arguments,
        _check,
    ),
    "compare": Command(
        "Say what changed in claims and rankings between two studies: other seeds, models or versions.",
        _compare_arguments,
        _compare,
    ),
    "verify": Command(
        "Say whether a study's results are all there, whole, unaltered, in their places, and agree with each other.",
        _verify_arguments,
        _verify,
    ),
    "crate": Command(
        "Tell what made a finished study, from what, when and where, as an RO-Crate, for those who archive it.",
        _crate_arguments,
        _crate,
    ),
}
"""Name → what it is."""


if __name__ == "__main__":
    sys.exit(main())
