"""How long the analysis of published results takes, as a whole and for one figure alone.

Run from the project's folder, in its environment: python benchmarks/published.py [CONFIG]

Everything goes to a folder that is deleted afterwards. Prints a table in Markdown: the whole study, from JSON files to
findings, then each figure drawn alone by a Snakemake call of its own, beside what such a call costs that has nothing to
do, and what it takes to import the libraries.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = sys.argv[1] if len(sys.argv) > 1 else "config/published-llama3-8b.yaml"
CORES = "2"


def seconds(*command: str) -> float:
    """Wall time of a command, which must succeed."""
    start = time.monotonic()
    run = subprocess.run(
        command, capture_output=True, encoding="utf-8", env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    )
    if run.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")
    return time.monotonic() - start


def main() -> None:
    """Measure, and print what was measured."""
    with tempfile.TemporaryDirectory() as results:
        snakemake = [sys.executable, "-m", "snakemake", "--cores", CORES, "--configfile", CONFIG]
        snakemake += ["--config", f"results={json.dumps(results)}"]
        whole = seconds(*snakemake)
        nothing = seconds(*snakemake)
        imports = seconds(
            sys.executable, "-c", "import pandas, pyarrow.parquet, matplotlib.figure, seaborn, scipy.stats"
        )
        figures = sorted(Path(results).glob("*/figures/*.png"))
        alone = {figure.stem: seconds(*snakemake, "--force", str(figure)) for figure in figures}
    print(f"{platform.machine()}, {CORES} cores, Python {platform.python_version()}, {CONFIG}\n")
    print("| What | Seconds |\n| --- | ---: |")
    print(f"| the whole study: conversion, analysis, {len(figures)} figures, findings | {whole:.1f} |")
    print(f"| a call that has nothing to do | {nothing:.1f} |")
    print(f"| importing the libraries | {imports:.1f} |")
    for name, taken in sorted(alone.items(), key=lambda item: -item[1]):
        print(f"| {name} alone | {taken:.1f} |")


if __name__ == "__main__":
    main()
