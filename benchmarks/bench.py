"""How fast scoring, ablation and the default study are, beside the goals.

Run by ``make bench``, or for some parts alone in the project's environment: python benchmarks/bench.py PART ...

Takes the default study's model, documents, questions, methods and head sets. What is compared runs in turns in one
process, and the medians of the pairs count. Prints a table in Markdown, and keeps it in results.parquet and in
docs/speed.md; a part that is measured anew replaces its rows there.
"""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache, cached_property, partial, reduce
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, "workflow")

from eager import EagerScoring
from retrieval_heads.ablation.head_sets import choose_head_sets
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.running import ablate_context
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import OK, expected_answer, group_by_context, twin_of, usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.extent import plain_passes
from retrieval_heads.engine.pace import PLAIN_TOKENS, passes_behind, passes_over
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.methods import AttentionRowScorer, HeadScorer, make_methods
from retrieval_heads.methods._scoring import make_document, score_groups, score_split
from retrieval_heads.model.identity import model_content, model_folder
from retrieval_heads.model.loading import load_model, load_tokenizer, prepare_model
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.interventions import interventions

RESULTS = Path(__file__).parent / "results.parquet"
PAGE = Path("docs/speed.md")
BEGIN, END = "<!-- make bench -->\n", "<!-- end -->"
LENGTHS = [512, 1024, 2048, 4096, 8192]
LEVELS, DRAWS = [5, 20], {"matched": 2, "unmatched": 1}
PAIRS = 3


@dataclass(frozen=True)
class Measured:
    """One figure: the part that measures it, what it is, its value, and the goal with the side on which to be."""

    part: str
    what: str
    value: float
    unit: str
    goal: str = ""
    detail: str = ""


class Setup:
    """What the default study has, or one that differs from it as ``changes`` say, made when it is first asked for."""

    def __init__(self, *changes: dict):
        self.config = complete(reduce(changed, changes, read_yaml("config/config.yaml", "correct it")))
        ((self.name, entry),) = self.config["models"].items()
        results = self.config["results"]
        content = model_content(entry["source"], results)
        self.folder = model_folder(self.name, entry["source"], content, results)
        if not self.folder.is_dir():
            prepare_model(entry["source"], self.folder)
        self.methods = make_methods(self.config["methods"])
        self.generation = self.config["generation"]
        self.answer_types = {key: question["type"] for key, question in self.config["questions"].items()}
        self.answering = {key: self.generation[key] for key in ("max_new_tokens", "stop")}

    def model(self):
        """The model, on the CPU."""
        return _loaded(self.folder)

    @cached_property
    def tokenizer(self):
        """The model's."""
        return load_tokenizer(self.folder)

    @cached_property
    def budget(self) -> Budget:
        """What the study takes on this machine."""
        return Budget.for_model(self.model(), "auto", "auto")

    @cached_property
    def runner(self) -> Runner:
        """The model as the study runs it."""
        return Runner(self.model(), self.tokenizer, self.budget, Decoding(**self.generation))

    def prompts(self, length: int, split: str) -> pd.DataFrame:
        """The usable prompts of a split at a length."""
        config = self.config
        documents, haystack = make_documents(config, config["seed"]), load_haystack(config["prompts"]["haystack"])
        builder = Builder(
            self.name, self.tokenizer, haystack, config["questions"], config["prompts"], length, config["seed"]
        )
        return usable(builder.build(documents), split, "the default study")

    def groups(self, length: int, split: str = "train") -> list[pd.DataFrame]:
        """The documents that answer all questions."""
        groups = group_by_context(self.prompts(length, split))
        return [group for group in groups if len(group) == len(self.config["questions"])]

    def group(self, length: int, split: str = "train") -> pd.DataFrame:
        """One of them."""
        return self.groups(length, split)[0]

    @cached_property
    def head_sets(self) -> pd.DataFrame:
        """Of the default study's rankings at 512 tokens, with controls of both kinds."""
        train = self.prompts(PLAIN_TOKENS, "train")
        scores, _ = score_split(self.runner, train, self.methods, self.answer_types)
        return choose_head_sets(rank_heads([scores]), LEVELS, DRAWS, self.config["seed"])


@cache
def _loaded(folder: Path):
    return load_model(folder, device="cpu")


def changed(config: dict, changes: dict) -> dict:
    """A config with some of its keys changed, at any depth; null takes a key out."""
    found = dict(config)
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = changed(config.get(key, {}), value) if isinstance(value, dict) else value
    return found


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a piece of work."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def paired(plain: Callable[[], object], ours: Callable[[], object]) -> tuple[float, float, float]:
    """Medians of both times, and of their ratio, over runs in turns."""
    pairs = [(seconds(plain), seconds(ours)) for _ in range(PAIRS)]
    first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
    return first, second, statistics.median(b / a for a, b in pairs)


def forward(setup: Setup, group: pd.DataFrame, **options) -> Callable[[], object]:
    """A plain forward pass over a document's longest prompt."""
    model, ids = setup.model(), torch.tensor([list(max(group["input_ids"], key=len))])

    @torch.inference_mode()
    def work():
        return model(input_ids=ids, **{"logits_to_keep": 1, "use_cache": False} | options)

    return work


def scoring(setup: Setup) -> Iterator[Measured]:
    """Point 1: scoring a document by all methods, over a forward pass."""
    for length in LENGTHS:
        group = setup.group(length)
        plain = forward(setup, group)
        plain()
        before, after, ratio = paired(plain, lambda group=group: _score(setup, [group]))
        goal = {2048: "≤ 1.5", 8192: "≤ 1.25"}.get(length, "")
        detail = f"{after:.2f} s over {before:.2f} s"
        yield Measured("scoring", f"scoring / forward pass, {length:,} tokens", ratio, "×", goal, detail)


def eager(setup: Setup) -> Iterator[Measured]:
    """Point 2: the eager passes that the same scores take otherwise, and how far theirs differ."""
    groups = setup.groups(2048)
    # As many documents at a time as the study takes.
    groups = groups[: setup.budget.batch_tokens // int(groups[0]["suffix_start"].iloc[0])]
    yardstick = EagerScoring(setup.model(), setup.tokenizer)
    ours = statistics.median(seconds(lambda: _score(setup, groups)) for _ in range(PAIRS)) / len(groups)
    slow = seconds(lambda: [yardstick.score(row, **setup.answering) for row in groups[0].itertuples()])
    detail = f"{yardstick.passes} passes, {slow:.0f} s over {ours:.2f} s a document, {len(groups)} at a time"
    yield Measured("eager", "eager passes / scoring, 2,048 tokens", slow / ours, "×", "≥ 100", detail)

    group = setup.group(1024)
    rows, _ = score_groups(setup.runner, [group], setup.methods, setup.answer_types)
    scores = pd.DataFrame(rows)
    worst = EagerScoring(setup.model(), setup.tokenizer).largest_difference(scores, group, **setup.answering)
    detail = f"{scores['scores'].map(len).sum():,} scores"
    yield Measured("eager", "largest difference of a score, float32, 1,024 tokens", worst, "", "≤ 1e-4", detail)


def memory(setup: Setup) -> Iterator[Measured]:
    """Peak memory of a process that scores a document, over one that runs a forward pass with its cache."""
    peaks = {}
    for work in ("forward", "scoring", "methods"):
        done = subprocess.run(
            [sys.executable, __file__, "--peak", work], check=True, capture_output=True, encoding="utf-8"
        )
        peaks[work] = int(done.stdout.split()[-1])
    before = peaks["forward"] / 2**20
    for work, by, goal in (
        ("scoring", "attention rows", "≤ 1.3"),
        ("methods", "all methods but the exact one", "≤ 1.5"),
    ):
        after = peaks[work] / 2**20
        name, detail = (
            f"peak memory, scoring by {by} / forward pass, 8,192 tokens",
            f"{after:.2f} GB over {before:.2f} GB",
        )
        yield Measured("memory", name, after / before, "×", goal, detail)


def peak(work: str) -> None:
    """Print the peak memory of this process after one piece of work, in KB."""
    setup = Setup()
    group = setup.group(8192)
    if work == "forward":
        forward(setup, group, use_cache=True)()
    else:
        _score(setup, [group], _but_the_exact(setup) if work == "methods" else None)
    # Not getrusage: its peak is inherited from the process that started this one.
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    print(kilobytes)


def methods(setup: Setup) -> Iterator[Measured]:
    """Scoring a document of four questions by each method alone, and by all of them, over a forward pass."""
    every = _but_the_exact(setup)
    without = [method for method in every if not method.needs_twin]
    exact = ", ".join(method.label for method in setup.methods if method not in every)
    for length, goal, goal_with_twins in ((512, "", ""), (2048, "≤ 1.5", "≤ 2.5"), (8192, "≤ 1.2", "≤ 2.0")):
        group = setup.group(length)
        plain = forward(setup, group)
        plain()
        measured = [(f"all methods but {exact}, with twins", every, goal_with_twins)]
        measured += [(f"all methods but {exact}, without twins", without, goal)]
        measured += [(one.label, [one], "") for one in every] if length == 2048 else []
        for what, chosen, goal_of in measured:
            before, after, ratio = paired(plain, lambda group=group, chosen=chosen: _score(setup, [group], chosen))
            detail = f"{after:.2f} s over {before:.2f} s, 4 questions"
            name = f"scoring by {what} / forward pass, {length:,} tokens"
            yield Measured("methods", name, ratio, "×", goal_of, detail)


def yardstick(setup: Setup) -> Iterator[Measured]:
    """The exact effect of every head on one prompt, over a forward pass, and over the least that it takes."""
    layers, heads = setup.runner.layers, setup.runner.heads
    for length, goal in ((512, "≤ 12"), (2048, "≤ 4"), (8192, "≤ 1.5")):
        group = setup.group(length)
        prompt = make_document(setup.tokenizer, group).prompts[0]
        plain = forward(setup, group)
        plain()
        setup.runner.prefill([prompt.context])  # as for any prompt after a document's first
        before, after, ratio = paired(
            plain,
            lambda prompt=prompt: setup.runner.single_head_effects(prompt.context, prompt.suffix, prompt.answer),
        )
        # Tokens that go through a layer, as tokens that go through all, each of which looks at the whole prompt.
        tokens = (1 + heads * (layers + 1) / 2) * (len(prompt.suffix) + len(prompt.answer) - 1)
        least = passes_behind(length, tokens) / passes_over(length)
        detail = f"{after:.2f} s over {before:.2f} s, {layers * heads} heads; its arithmetic comes to {least:.1f}"
        yield Measured("yardstick", f"effect of every head / forward pass, {length:,} tokens", ratio, "×", goal, detail)

        row = next(row for row in setup.group(length, "test").itertuples() if row.twin_status == OK)
        context, suffix = list(row.input_ids[: row.suffix_start]), list(row.input_ids[row.suffix_start :])
        answer, twin = expected_answer(setup.tokenizer, row), twin_of(setup.tokenizer, row)
        resample = Intervention("yardstick", "resample", "suffix").replacement
        measure = partial(setup.runner.single_head_effects, context, suffix, answer)
        measure(resample, twin=twin)  # runs both contexts
        before, after, ratio = paired(measure, partial(measure, resample, twin=twin))
        detail = f"{after:.2f} s over {before:.2f} s, with the log-odds against the twin's answer"
        name = f"effect of every head, resample / zero, {length:,} tokens"
        yield Measured("yardstick", name, ratio, "×", "≤ 1.35", detail)

        def both(context: list[int] = context, twin: list[int] = twin[0]) -> None:
            setup.runner.prefill([context])
            setup.runner.twin(twin)

        before, after, ratio = paired(plain, both)
        shared = next(place for place, pair in enumerate(zip(context, twin[0], strict=True)) if len(set(pair)) > 1)
        detail = f"{after:.2f} s over {before:.2f} s; the twin's first {shared:,} tokens are the prompt's"
        yield Measured("yardstick", f"context and twin / forward pass, {length:,} tokens", ratio, "×", "", detail)


def ablation(setup: Setup) -> Iterator[Measured]:
    """Points 4 and 5: a prompt under a head set, over a plain generation of the same length."""
    sets = setup.head_sets
    matched = sets[sets["source"].eq("method") | sets["matching"].eq("layer")]
    unmatched = sets[sets["matching"].eq("none")]
    first = next(iter(setup.config["questions"]))
    for what, chosen, length, scope, goal in (
        ("top and layer-matched sets", matched, 512, "all", "≤ 0.6"),
        ("unmatched sets", unmatched, 512, "all", "≤ 1.0"),
        ("top and layer-matched sets", matched[matched["question"].eq(first)], 2048, "all", "≤ 0.6"),
        ("unmatched sets", unmatched[unmatched["question"].eq(first)], 2048, "all", "≤ 1.0"),
        ("all sets", sets, 2048, "suffix", "≤ 0.1"),
    ):
        group = setup.group(length, "test")
        group = group[group["question"].isin(chosen["question"])]
        rows = len(group.merge(chosen, on=["model", "question"]))
        chosen = chosen.assign(context_length=length)
        plain, ours, ratio = paired(
            lambda group=group: _generate(setup, group),
            lambda group=group, chosen=chosen, scope=scope: _ablate(setup, group, chosen, scope),
        )
        name = f"ablation, scope {scope} / generate, {what}, {length:,} tokens"
        detail = f"{ours / rows:.3f} s over {plain / len(group):.2f} s, {rows} prompts × sets"
        yield Measured("ablation", name, ratio * len(group) / rows, "×", goal, detail)


def scale(setup: Setup) -> Iterator[Measured]:
    """Point 7: the cost of one more document, question or head set, beside that of the first ones."""
    groups = setup.groups(512)
    _score(setup, groups[:1])
    for count in (1, 2, 4, 8):
        taken = statistics.median(
            seconds(
                lambda count=count: score_split(
                    setup.runner, pd.concat(groups[:count]), setup.methods, setup.answer_types
                )
            )
            for _ in range(PAIRS)
        )
        yield Measured("scale", f"scoring, seconds a document, documents: {count}, 512 tokens", taken / count, "s")
    for count in (1, 2, 4):
        taken = statistics.median(
            seconds(lambda count=count: _score(setup, [groups[0].head(count)])) for _ in range(PAIRS)
        )
        yield Measured("scale", f"scoring, seconds a document, questions: {count}, 512 tokens", taken, "s")
    sets = setup.head_sets
    sets = sets[sets["source"].eq("method") | sets["matching"].eq("layer")]
    group = setup.group(512, "test").head(1)
    sets = sets[sets["question"].isin(group["question"])]
    for count in (6, 12, 18):
        for scope in ("all", "suffix"):
            taken = seconds(lambda count=count, scope=scope: _ablate(setup, group, sets.head(count), scope))
            name = f"ablation, scope {scope}, seconds a head set, sets: {count}, 512 tokens"
            yield Measured("scale", name, taken / count, "s")


def _clocks() -> tuple[float, float]:
    """Wall time, and processor time of this process and of those that it waited for."""
    used = os.times()
    return time.monotonic(), used.user + used.system + used.children_user + used.children_system


def plain_pass(setup: Setup) -> tuple[float, float]:
    """Seconds of a plain pass, the unit of the default study: wall and processor time, medians of five."""
    model = setup.model()
    ids = torch.tensor([list(setup.group(2 * PLAIN_TOKENS)["input_ids"].iloc[0][:PLAIN_TOKENS])])
    clocks = []
    for _ in range(7):  # the first pass warms up
        clocks.append(_clocks())
        with torch.inference_mode():
            model(ids, logits_to_keep=1)
    taken = [[after - before for before, after in pairwise(clock)][1:] for clock in zip(*clocks, strict=True)]
    wall, processor = map(statistics.median, taken)
    return wall, processor


def study(setup: Setup) -> Iterator[Measured]:
    """Point 6: the default study from nothing, in seconds and in plain passes, which are run before it and after it."""
    before, used_before = plain_pass(setup)
    with tempfile.TemporaryDirectory() as made:
        start, (began, used) = datetime.now(), _clocks()
        _snakemake("--cores", "all", "--config", f"results={made}")
        whole, used = (end - begin for end, begin in zip(_clocks(), (began, used), strict=True))
        logs = Path(made, setup.config["study"], "logs")
        told = min(when for log in logs.rglob("*.log") for when, line in _lines(log) if "tokens takes" in line)
        inside = {
            stage: sum(_between(log) for log in logs.glob(f"{rule}/{setup.name}/*/{pattern}.log"))
            for stage, (rule, pattern) in {
                **{
                    f"scoring, {n:,} tokens": ("score_heads", f"{n}/*")
                    for n in setup.config["prompts"]["context_lengths"]
                },
                **{f"ablation, {name}": ("ablate_heads", f"*/{name}/*") for name in interventions(setup.config)},
                "guard": ("measure_guard", "*"),
                "whole model": ("answer_unablated", "*/*"),
                "yardstick": ("measure_effects", "*/*/*"),
            }.items()
        }
    after, used_after = plain_pass(setup)
    each, model = (before + after) / 2, sum(inside.values())
    detail = f"{whole:.0f} s over {each:.2f} s, a plain pass ({before:.2f} s before, {after:.2f} s after)"
    yield Measured("study", "the default study, from nothing to its findings", whole / each, "passes", "≤ 600", detail)
    processor = (used_before + used_after) / 2
    detail = f"{used:.0f} s over {processor:.2f} s; tells more on a machine that does other things too"
    yield Measured("study", "the same in processor time", used / processor, "passes", "", detail)
    for stage, taken in inside.items():
        yield Measured("study", f"of these, {stage}", taken / each, "passes", "", f"{taken:.0f} s")
    detail = f"{whole - model:.0f} s of {whole:.0f} s"
    yield Measured("study", "share of it outside model computation", 100 * (whole - model) / whole, "%", "", detail)
    estimate = plain_passes(setup.config, 0)
    detail = f"{estimate:.0f} passes over {model / each:.0f}"
    yield Measured("study", "model computation, told / measured", estimate * each / model, "×", "0.8 to 1.2", detail)
    yield Measured(
        "study", "from its start until it tells how long it takes", (told - start).total_seconds(), "s", "≤ 60"
    )


def dry_runs(setup: Setup) -> Iterator[Measured]:
    """Point 6: dry runs, of the default study after ``make report``."""
    for name, goal, more in (
        ("the default study", "≤ 6", []),
        ("config/llama3-8b.yaml", "≤ 20", ["--configfile", "config/llama3-8b.yaml"]),
    ):
        taken = statistics.median(seconds(lambda more=more: _snakemake("-n", *more)) for _ in range(PAIRS))
        yield Measured("dry_runs", f"dry run of {name}", taken, "s", goal)


def _score(setup: Setup, groups: list[pd.DataFrame], methods: Sequence[HeadScorer] | None = None) -> object:
    """Score by some methods; by default by those that read attention rows alone."""
    if methods is None:
        methods = [method for method in setup.methods if isinstance(method, AttentionRowScorer)]
    return score_groups(setup.runner, groups, methods, setup.answer_types)


def _but_the_exact(setup: Setup) -> list[HeadScorer]:
    """The methods that score all documents."""
    return [method for method in setup.methods if method.documents is None]


def _ablate(setup: Setup, group: pd.DataFrame, head_sets: pd.DataFrame, scope: str) -> object:
    return ablate_context(setup.runner, group, head_sets, Intervention(scope, "zero", scope), setup.answer_types)


def _generate(setup: Setup, group: pd.DataFrame) -> None:
    """Each prompt answered by transformers itself, as a script would do it for each head set."""
    for ids in group["input_ids"]:
        setup.model().generate(
            torch.tensor([list(ids)]),
            max_new_tokens=setup.answering["max_new_tokens"],
            stop_strings=setup.answering["stop"],
            tokenizer=setup.tokenizer,
            do_sample=False,
            pad_token_id=0,
        )


def _snakemake(*arguments: str) -> None:
    subprocess.run(["snakemake", *arguments], check=True, capture_output=True)


def _lines(log: Path) -> Iterator[tuple[datetime, str]]:
    """The lines of a job's log, each with its time."""
    for line in log.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):
            yield datetime.fromisoformat(line[:23].replace(",", ".")), line


def _between(log: Path) -> float:
    """Seconds from where a job's log tells how much there is to do to where all is done."""
    times = [
        when for when, line in _lines(log) if re.search(r"\d+ (of \d+ )?(documents|answers|head sets|prompts) \w", line)
    ]
    return (times[-1] - times[0]).total_seconds()


def machine() -> str:
    """What the figures were measured on."""
    cpus = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpus.read_text(encoding="utf-8")) if cpus.exists() else []
    version, _, _ = torch.__version__.partition("+")
    return f"{(names or [platform.processor()])[0]}, {torch.get_num_threads()} cores, torch {version}"


def as_markdown(table: pd.DataFrame) -> str:
    """The table as a page shows it."""
    lines = ["| Measured | Value | Goal | From | When, and in what |", "| --- | ---: | ---: | --- | --- |"]
    for row in table.itertuples():
        value = f"{row.value:.1e}" if row.value < 1e-3 else f"{row.value:.2f}" if row.value < 20 else f"{row.value:.0f}"
        cells = (row.what, f"{value} {row.unit}", row.goal, row.detail, f"{row.measured}, {row.dtype}")
        lines.append("| " + " | ".join(cell.strip() for cell in cells) + " |")
    return "\n".join(lines)


PARTS = {part.__name__: part for part in (scoring, methods, yardstick, eager, memory, ablation, scale, study, dry_runs)}


def main(names: list[str]) -> None:
    """Measure parts, print and keep what was measured."""
    setup = Setup()
    for name in names or PARTS:
        rows = []
        for measured in PARTS[name](setup):
            rows.append(asdict(measured))
            print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
        keep(pd.DataFrame(rows).assign(machine=machine(), dtype="float32", measured=f"{datetime.now():%Y-%m-%d}"))
    print(PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0])


def keep(new: pd.DataFrame) -> None:
    """Put a part's rows in place of those that it had, in the table and on the page."""
    if RESULTS.exists():
        before = pd.read_parquet(RESULTS)
        new = pd.concat([before[~before["part"].isin(new["part"])], new])
    new = new.sort_values("part", key=lambda parts: parts.map(list(PARTS).index), kind="stable", ignore_index=True)
    with atomic_file(RESULTS) as file:
        new.to_parquet(file, index=False)
    shown = f"By `make bench`, on {machine()}, medians of {PAIRS} pairs.\n\n{as_markdown(new)}\n"
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{begin}{shown}{rest[rest.index(END) :]}", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.argv[1:2] == ["--peak"]:
        peak(sys.argv[2])
    else:
        main(sys.argv[1:])
