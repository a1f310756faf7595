"""What the scores table takes, on disk and in memory, and how long its analysis takes, for a large model.

Run from the project's folder, in its environment: python benchmarks/scores_table.py [PROMPTS ...]

Scores of three methods on made-up prompts of four questions, for 32 layers of 32 heads. Each stage is a process of its
own. Prints a table in Markdown; memory is the peak of a process beside what it holds before it begins.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

sys.path.insert(0, "workflow")

from retrieval_heads import tables
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.analysis.reliability import split_half
from retrieval_heads.exchange.exports import export_rankings
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.scores import SCORES, score_row

GRID, METHODS, QUESTIONS, SPLITS = (32, 32), 3, 4, 10
CELLS = {"model": "model", "context_length": 8192}
STAGES = ("write", "rank_heads", "split_half", "export_rankings")


def prompt(number: int) -> SimpleNamespace:
    """What identifies a prompt: every document is asked all questions."""
    document, question = f"train-{number // QUESTIONS:05d}", f"question_{number % QUESTIONS}"
    fields = dict.fromkeys(CELL, "-") | CELLS | {"question": question}
    return SimpleNamespace(**fields, doc_id=document, prompt_id=f"{document}/{question}/8192/0.5")


def make_scores(prompts: int) -> pd.DataFrame:
    """A scores table."""
    rng = np.random.default_rng(0)
    usual = rng.exponential(size=GRID)
    rows = [
        score_row(prompt(number), f"method_{method}", usual * rng.exponential(size=GRID))
        for number in range(prompts)
        for method in range(METHODS)
    ]
    return pd.DataFrame(rows, columns=SCORES.columns)


def run(stage: str, folder: Path, prompts: int) -> None:
    """Do one stage's work, and print the seconds and the megabytes that it took."""
    file, rankings = folder / "scores.parquet", folder / "rankings.parquet"
    stream: Iterable[pd.DataFrame] = tables.Stream([file], SCORES)
    # What is loaded when it is first used is no part of the work.
    rank_heads([make_scores(1)])
    before, start = peak_mb(), time.monotonic()
    if stage == "write":
        tables.write(make_scores(prompts), file, SCORES)
    elif stage == "rank_heads":
        tables.write(rank_heads(stream), rankings, RANKINGS)
    elif stage == "split_half":
        documents = {one.prompt_id: one.doc_id for one in map(prompt, range(prompts))}
        split_half(stream, pd.Series(documents), SPLITS, 0)
    else:
        export_rankings(tables.read(rankings, RANKINGS), stream, folder / "exports")
    print(time.monotonic() - start, peak_mb() - before)


def peak_mb() -> float:
    """The peak memory of this process; getrusage would give that of the process which started it."""
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(kilobytes) / 1024


def main(sizes: list[int]) -> None:
    """Measure, and print what was measured."""
    print("| Prompts | Bytes on disk, a head and prompt |", " | ".join(f"`{stage}`" for stage in STAGES), "|")
    print("| ---: | ---: |", " | ".join("---: " for _ in STAGES), "|")
    for prompts in sizes:
        with tempfile.TemporaryDirectory() as folder:
            cells = []
            for stage in STAGES:
                command = [sys.executable, __file__, "--run", stage, folder, str(prompts)]
                done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
                seconds, megabytes = map(float, done.stdout.split())
                cells.append(f"{seconds:.1f} s, {megabytes:.0f} MB")
            scores = prompts * METHODS * GRID[0] * GRID[1]
            disk = Path(folder, "scores.parquet").stat().st_size / scores
        print(f"| {prompts:,} × {METHODS} methods | {disk:.2f} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main([int(size) for size in sys.argv[1:]] or [2_000, 8_000])
