"""How long scoring takes beside one plain forward pass over the same tokens.

Run from the project's folder, in its environment: python benchmarks/scoring.py [LENGTH ...]

Takes the default study's model, documents, questions and methods. For each length, one document is scored (all
questions, the null question, all methods) and its longest prompt is run through the model as it is, in turns; medians
of the pairs are printed in Markdown. The last column is what the eager passes of the usual scripts would take: one pass
with full attention matrices is timed, and multiplied by how many of them the same scores need.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import yaml

sys.path.insert(0, "workflow")

from retrieval_heads.config import complete, model_artifact
from retrieval_heads.documents import make_documents
from retrieval_heads.haystack import load_haystack
from retrieval_heads.method import make_methods
from retrieval_heads.model import load_model, load_tokenizer, prepare_model
from retrieval_heads.prompts import Builder, group_by_context, usable
from retrieval_heads.scoring import score_prompts

LENGTHS = [int(length) for length in sys.argv[1:]] or [512, 1024, 2048, 4096, 8192]
PAIRS, EAGER_UP_TO = 3, 2048


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a piece of work."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def main() -> None:
    """Measure, and print what was measured."""
    config = complete(yaml.safe_load(Path("config/config.yaml").read_text()))
    ((name, entry),) = config["models"].items()
    folder = Path(config["results"]) / "models" / model_artifact(name, entry["source"])
    with tempfile.TemporaryDirectory() as made:
        if not folder.is_dir():
            folder = Path(made) / "model"
            prepare_model(entry["source"], folder)
        measure(config, name, folder)


def measure(config: dict, name: str, folder: Path) -> None:
    """Print a row for each length."""
    model, tokenizer = load_model(folder, "bfloat16", "cpu"), load_tokenizer(folder)
    documents, haystack = make_documents(config, config["seed"]), load_haystack(config["prompts"]["haystack"])
    methods = make_methods(config["methods"])
    print(f"{name}, bfloat16, {torch.get_num_threads()} threads, torch {torch.__version__}, medians of {PAIRS} pairs\n")
    print("| Tokens | Forward, s | Scoring, s | Ratio | Eager passes, s |\n| ---: | ---: | ---: | ---: | ---: |")
    for length in LENGTHS:
        builder = Builder(name, tokenizer, haystack, config["questions"], config["prompts"], length, config["seed"])
        prompts = usable(builder.build(documents), "train", "the default study")
        group = max(group_by_context(prompts), key=len)
        ids = torch.tensor([list(max(group["input_ids"], key=len))])
        generated = 0

        def score(group=group) -> None:
            nonlocal generated
            _, generations = score_prompts(model, tokenizer, group, methods, **config["generation"])
            generated = sum(len(tokenizer.encode(row["generated"])) for row in generations)

        @torch.inference_mode()
        def forward(ids=ids, **options) -> None:
            model(input_ids=ids, logits_to_keep=1, use_cache=False, **options)

        forward()
        pairs = [(seconds(forward), seconds(score)) for _ in range(PAIRS)]
        plain, scoring = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(score / forward for forward, score in pairs)
        eager = ""
        if length <= EAGER_UP_TO:
            model.set_attn_implementation("eager")
            one = seconds(lambda forward=forward: forward(output_attentions=True))
            model.set_attn_implementation("sdpa")
            # A pass per question for Summed Attention, two for QRHead, and one per generated token for Wu24.
            passes = 3 * len(group) + generated
            eager = f"{passes} × {one:.1f} = {passes * one:.0f}"
        print(f"| {length:,} | {plain:.2f} | {scoring:.2f} | {ratio:.2f} | {eager} |", flush=True)


if __name__ == "__main__":
    main()
