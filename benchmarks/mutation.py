"""Whether tests notice a wrong line: seeded mutants of the package, and how many of them fail a test.

Run by ``make mutation``, or for some areas alone in the project's environment: python benchmarks/mutation.py AREA ...
With ``--again``, only those that survived the last time are tried anew, after tests were added.

A mutant is the package with one change, such as ``<`` in place of ``<=`` or a summand less. First all quick tests that
run in one process are run once, to know which of them reach which line, and how long each takes. Then each mutant meets
the tests that reach its line, the quickest first, then others of their files, until one fails that passes alone where
nothing is changed; in a fork of a process that has torch loaded, so that this takes seconds. What is changed are
statements and expressions of functions; not messages, annotations, defaults of fields, or what is written to logs.

Survivors are told with the reason in mutation.yaml why no test can, or needs to, notice them.
"""

import ast
import contextlib
import copy
import gc
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow" / "retrieval_heads"
KEPT = ROOT / ".cache" / "mutation"
AREAS = {
    "methods": ["methods/*.py"],
    "engine": ["engine/*.py"],
    "ablation": ["ablation/**/*.py"],
    "answers": ["data/answers/*.py"],
    "ties and statistics": [
        "analysis/ties.py",
        "analysis/overlap.py",
        "analysis/rankings.py",
        "analysis/statistics.py",
    ],
}
"""What is mutated: area → files of the package."""
TESTS = [
    *("ablation", "analysis", "data", "engine", "exactness", "findings/test_claims.py", "methods", "study", "tables"),
    *("test_labels.py", "test_looks.py"),
]
"""Where tests are that may notice it, all in this process."""
PER_AREA, SEED = 150, 1
REACHING_S, OTHERS_S, LONG_S = 20, 10, 5
"""How long the tests may take that reach a mutant's line, and those beside them in their files; and from when on a test
takes long."""
LIMIT_S = 240  # of computing, for the tests of a mutant, which take far less where nothing is changed
WORKERS = os.cpu_count() or 1

OPPOSITE: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.FloorDiv: ast.Div, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
OTHER_NAME = {
    "any": "all", "all": "any", "min": "max", "max": "min", "argmax": "argmin", "mean": "sum", "ceil": "floor",
    "amax": "amin", "cumsum": "cumprod", "first": "last", "union": "intersection",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: in which file of the package and line, in which function, from what to what."""

    file: str
    line: int
    function: str
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """It, as mutation.yaml names it: without the line, which moves."""
        return f"{self.file} {self.function}: {self.before} → {self.after}"


def mutants(file: Path) -> Iterator[Mutant]:
    """All mutants of a file."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    for function, node in _functions(tree, ""):
        for place in _places(node.body):
            for change in _changes(place):
                changed = copy.deepcopy(place)
                replaced = change(changed)
                before = " ".join((ast.get_source_segment(text, place) or "").split())
                after = " ".join(ast.unparse(replaced).split()) or "nothing"
                source = ast.unparse(_Put(place, replaced).visit(copy.copy(tree)))
                yield Mutant(file.relative_to(PACKAGE).as_posix(), place.lineno, function, before, after, source)


def _functions(tree: ast.AST, within: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods, by their qualified names; those inside of others belong to these."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield within + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{within}{node.name}.")


def _places(nodes: list) -> Iterator[ast.AST]:
    """All that may be changed in some code."""
    for node in nodes:
        if isinstance(node, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr) or _is_told(node):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue  # of zip: an assertion
        yield node
        fields = [
            value for name, value in ast.iter_fields(node) if name not in ("annotation", "returns", "decorator_list")
        ]
        for value in fields:
            yield from _places(
                [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST)]
            )


def _is_told(node: ast.AST) -> bool:
    """Whether a statement only says something: a docstring, or a call of a log."""
    if not isinstance(node, ast.Expr):
        return False
    call = node.value
    return isinstance(call, ast.Constant) or (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and getattr(call.func.value, "id", "") == "log"
    )


def _changes(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST]]:
    """What can be done to a node: each a function of a copy of it."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPPOSITE:
        yield lambda it: _with(it, ops=[OPPOSITE[type(it.ops[0])]()])
    elif isinstance(node, ast.BoolOp):
        yield lambda it: _with(it, op=OPPOSITE[type(it.op)]())
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPPOSITE:
        operands = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.value]
        if not any(isinstance(one, ast.JoinedStr | ast.List) or _is_text(one) for one in operands):
            yield lambda it: _with(it, op=OPPOSITE[type(it.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield lambda it: it.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda it: _with(it, value=not it.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield lambda it: _with(it, value=it.value + 1 if isinstance(it.value, int) else it.value * 2 or 1.0)
    elif isinstance(node, ast.IfExp):
        yield lambda it: _with(it, body=it.orelse, orelse=it.body)
    elif isinstance(node, ast.If | ast.While):
        yield lambda it: _with(it, test=ast.UnaryOp(ast.Not(), it.test))
    elif isinstance(node, ast.Name) and node.id in OTHER_NAME and isinstance(node.ctx, ast.Load):
        yield lambda it: _with(it, id=OTHER_NAME[it.id])
    elif isinstance(node, ast.Attribute) and node.attr in OTHER_NAME:
        yield lambda it: _with(it, attr=OTHER_NAME[it.attr])
    elif isinstance(node, ast.Slice):
        for side in ("lower", "upper"):
            if getattr(node, side) is not None and not isinstance(getattr(node, side), ast.Constant):
                yield lambda it, side=side: _with(
                    it, **{side: ast.BinOp(getattr(it, side), ast.Add(), ast.Constant(1))}
                )
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield lambda it: ast.Pass()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _with(node: ast.AST, **fields) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


class _Put(ast.NodeTransformer):
    """Puts a node in another's place, in copies of those above it."""

    def __init__(self, place: ast.AST, node: ast.AST):
        self.place, self.node = place, node

    def visit(self, node: ast.AST) -> ast.AST:
        """The node, or the other in its place."""
        return self.node if node is self.place else self.generic_visit(copy.copy(node))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """A node whose children are copies where they change."""
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, name, [self.visit(one) if isinstance(one, ast.AST) else one for one in value])
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
        return node


# --- which tests reach a line -------------------------------------------------------------------------------------


def reach() -> tuple[dict[str, dict[int, list[str]]], dict[str, float]]:
    """File → line → the tests that reach it; and how long each test takes, in seconds."""
    KEPT.mkdir(parents=True, exist_ok=True)
    if not (KEPT / "durations.json").exists():
        environment = os.environ | {"COVERAGE_FILE": str(KEPT / "coverage"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", "-n", str(WORKERS), "-m", "not slow", "-p", "benchmarks.durations"]
        command += [
            "--cov=retrieval_heads",
            "--cov-context=test",
            "--cov-report=",
            *(f"tests/{name}" for name in TESTS),
        ]
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            (KEPT / "durations.json").unlink(missing_ok=True)
            sys.exit("Tests fail as they are, so no mutant is tried: mend them first.")
    from coverage import CoverageData

    durations = json.loads((KEPT / "durations.json").read_text(encoding="utf-8"))
    data = CoverageData(str(KEPT / "coverage"))
    data.read()
    mutated = {str(file) for patterns in AREAS.values() for pattern in patterns for file in PACKAGE.glob(pattern)}
    lines = {
        file: {
            line: sorted({context.partition("|")[0] for context in contexts} & durations.keys())
            for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in mutated.intersection(data.measured_files())
    }
    return lines, durations


def tests_of(mutant: Mutant, lines: dict, durations: dict[str, float]) -> list[str]:
    """The tests that reach a mutant's line, and others of their files, which may look at what the first of them made
    for all: file by file, as what the tests of one share is made anew after those of another.

    Files in which one test takes long, perhaps for what it makes for the others, come last, and leave the others their
    time.
    """
    longest: dict[str, float] = {}
    for test, seconds in durations.items():
        longest[_file(test)] = max(seconds, longest.get(_file(test), 0))
    reaching = lines.get(str(PACKAGE / mutant.file), {}).get(mutant.line, [])
    files = {_file(test) for test in reaching}
    others = [test for test in durations if _file(test) in files and test not in set(reaching)]
    chosen = []
    for tests, seconds in ((reaching, REACHING_S), (others, OTHERS_S)):
        for long in (False, True):
            these = [test for test in tests if (longest[_file(test)] > LONG_S) == long]
            chosen += _quickest(these, durations, seconds)
    return sorted(chosen, key=lambda test: (longest[_file(test)], _file(test)))


def _file(test: str) -> str:
    return test.partition("::")[0]


def _quickest(tests: list[str], durations: dict[str, float], seconds: float) -> list[str]:
    """As many tests as take so long: one of each function for half of the time, then the quickest of the others."""
    ordered = sorted(tests, key=durations.__getitem__)
    first: dict[str, str] = {}
    for test in ordered:
        first.setdefault(test.partition("[")[0], test)
    chosen = _within(list(first.values()), durations, seconds / 2)
    seconds -= sum(map(durations.__getitem__, chosen))
    return chosen + _within([test for test in ordered if test not in set(chosen)], durations, seconds)


def _within(tests: list[str], durations: dict[str, float], seconds: float) -> list[str]:
    """The first of some tests that together take so long."""
    taken = accumulate(map(durations.__getitem__, tests))
    return [test for test, until in zip(tests, taken, strict=True) if until <= seconds]


# --- running a mutant ---------------------------------------------------------------------------------------------


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module of the package from another source."""

    def __init__(self, mutant: Mutant):
        self.file = PACKAGE / mutant.file
        parts = ("retrieval_heads", *Path(mutant.file).with_suffix("").parts)
        self.package = parts[-1] == "__init__"
        self.module, self.source = ".".join(parts[: -1 if self.package else None]), mutant.source

    def find_spec(self, name, path, target=None):
        """Its spec, for that module alone."""
        if name != self.module:
            return None
        places = [str(self.file.parent)] if self.package else None
        return importlib.util.spec_from_file_location(name, self.file, loader=self, submodule_search_locations=places)

    def exec_module(self, module) -> None:
        """Run the changed source."""
        exec(compile(self.source, str(self.file), "exec"), module.__dict__)


def outcome(mutant: Mutant, tests: list[str]) -> str:
    """What comes of a mutant: killed, by the clock too; survived; or reached by no test."""
    while tests:
        found, failed = _outcome(mutant, tests)
        if found == "survived" or _pass_unchanged((failed,) if failed else tuple(tests)):
            return found
        if not failed:
            sys.exit(f"{mutant.name}: its tests do not end well as they are; delete {KEPT} and try again.")
        # It fails alone, whatever is changed, so that it says nothing.
        tests = [test for test in tests if test != failed]
    return "reached by no test"


@cache
def _pass_unchanged(tests: tuple[str, ...]) -> bool:
    return _outcome(None, list(tests))[0] == "survived"


def _outcome(mutant: Mutant | None, tests: list[str]) -> tuple[str, str]:
    """What comes of it by these tests, and the one that failed, if they came so far; without a mutant, by the package
    as it is."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 3
        with contextlib.suppress(BaseException):
            status = _run(mutant, tests, writing)
        os._exit(status)
    os.close(writing)
    # A mutant that computes for ever is ended by its limit, one that waits for ever here, beside other work or not.
    end, found = time.monotonic() + 10 * LIMIT_S, "killed by the clock"
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            found = {0: "survived", -signal.SIGXCPU: found}.get(code, "killed")
            break
        time.sleep(0.02)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.set_blocking(reading, False)
    with open(reading, "rb") as told, contextlib.suppress(BlockingIOError):  # noqa: PTH123  a pipe has no path
        return found, (told.read() or b"").decode()
    return found, ""


class _Failed:
    """A plugin of pytest that tells which test fails."""

    def __init__(self, writing: int):
        self.writing = writing

    def pytest_runtest_logreport(self, report) -> None:
        """Write its name into a pipe."""
        if report.failed:
            os.write(self.writing, report.nodeid.encode())


def _run(mutant: Mutant | None, tests: list[str], writing: int) -> int:
    """Run tests in a process of their own, with nothing said."""
    import pytest

    os.setpgrp()
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))
    with Path(os.devnull).open("r+b") as nowhere:
        for stream in (0, 1, 2):
            os.dup2(nowhere.fileno(), stream)
    if mutant:
        sys.meta_path.insert(0, _Changed(mutant))
    os.chdir(ROOT)
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests], [_Failed(writing)]))


def load() -> None:
    """Load what tests need from elsewhere, so that forks have it; nothing of the package."""
    import hypothesis  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import statsmodels.stats.proportion  # noqa: F401
    import torch
    import transformers.models.auto.modeling_auto  # noqa: F401

    torch.set_num_threads(1)
    assert "retrieval_heads" not in sys.modules


def measure(
    area: str, lines: dict, durations: dict[str, float], survivors: list[list] | None
) -> list[tuple[Mutant, str]]:
    """The outcomes of an area's seeded mutants; where the survivors of the last time are given, only theirs are found
    anew."""
    files = sorted(file for pattern in AREAS[area] for file in PACKAGE.glob(pattern))
    every = [mutant for file in files for mutant in mutants(file)]
    chosen = random.Random(f"{SEED} {area}").sample(every, min(PER_AREA, len(every)))
    print(f"{area}: {len(chosen)} of {len(every)} mutants", file=sys.stderr, flush=True)

    last = None if survivors is None else {(name, line) for name, line, _ in survivors}
    if last is not None and not last <= {(mutant.name, mutant.line) for mutant in chosen}:
        sys.exit(f"{area}: the package has changed since its mutants were tried; try all of them.")

    def of(mutant: Mutant) -> tuple[Mutant, str]:
        if last is not None and (mutant.name, mutant.line) not in last:
            return mutant, "killed"
        found = outcome(mutant, tests_of(mutant, lines, durations))
        print(f"  {found}: {mutant.file}:{mutant.line} {mutant.before} → {mutant.after}", file=sys.stderr, flush=True)
        return mutant, found

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(of, chosen))


def main(names: list[str], again: bool) -> None:
    """Measure areas, and write what came of them; where it is done again, only survivors, with the tests of today."""
    if again:
        (KEPT / "durations.json").unlink(missing_ok=True)
    reached = reach()
    load()
    gc.collect()
    gc.freeze()  # or each fork would copy what it walks through
    reasons = yaml.safe_load((ROOT / "benchmarks" / "mutation.yaml").read_text(encoding="utf-8")) or {}
    results = KEPT / "results.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    for name in names or AREAS:
        start, before = time.monotonic(), known.get(name) if again else None
        found = measure(name, *reached, before and before["survivors"])
        killed = sum(outcome.startswith("killed") for _, outcome in found)
        by_clock = sum(outcome == "killed by the clock" for _, outcome in found)
        known[name] = {
            "mutants": len(found),
            "killed": killed,
            "by the clock": by_clock + (before["by the clock"] if before else 0),
            "minutes": round((time.monotonic() - start) / 60 + (before["minutes"] if before else 0), 1),
            "survivors": [[mutant.name, mutant.line, outcome] for mutant, outcome in found if "killed" not in outcome],
        }
        results.write_text(json.dumps(known, indent=1), encoding="utf-8")
    print("| Area | Mutants | Killed | Of them by the clock | Minutes |\n| --- | ---: | ---: | ---: | ---: |")
    for name, one in known.items():
        share = f"{one['killed']} ({one['killed'] / one['mutants']:.0%})"
        print(f"| {name} | {one['mutants']} | {share} | {one['by the clock']} | {one['minutes']} |")
    print("\n| Survivor | Reason |\n| --- | --- |")
    for one in known.values():
        for survivor, line, outcome in one["survivors"]:
            name = survivor.replace("|", "\\|")
            print(f"| `{name}` (line {line}) | {reasons.get(survivor, outcome)} |")


if __name__ == "__main__":
    main([name for name in sys.argv[1:] if name != "--again"], "--again" in sys.argv)
