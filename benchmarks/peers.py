"""What it takes other libraries to see all attention of a prompt, beside a plain pass, and beside all of our methods.

Run in an environment of its own, which has torch, transformer-lens and nnsight, on a prepared model and token ids:

    python benchmarks/peers.py MODEL_FOLDER LENGTH

Each library reads the same random ids and keeps the attention rows of all heads, as a study of heads does with it. What
is compared runs in turns in one process. Prints a line of Markdown for each.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PAIRS = 3


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a piece of work."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def main(folder: str, length: int) -> None:
    """Measure each library beside a plain pass."""
    torch.set_grad_enabled(False)
    ids = torch.randint(100, 40_000, (1, length), generator=torch.Generator().manual_seed(0))
    plain_model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def plain() -> object:
        return plain_model(ids, logits_to_keep=1)

    for name, make in {"TransformerLens": lens, "nnsight": sight, "transformers, eager": eager}.items():
        work, version = make(folder, ids)
        plain()
        work()
        ratios = []
        for _ in range(PAIRS):
            before = seconds(plain)
            ratios.append(seconds(work) / before)
        print(f"| {name} {version} | {length:,} | {statistics.median(ratios):.1f} × |", flush=True)


def lens(folder: str, ids: torch.Tensor) -> tuple[Callable[[], object], str]:
    """A pattern cache of all layers."""
    from importlib.metadata import version

    from transformer_lens.model_bridge import TransformerBridge

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    bridge = TransformerBridge.boot_transformers(
        folder, hf_model=model, tokenizer=AutoTokenizer.from_pretrained(folder), dtype=torch.float32
    )

    def work() -> object:
        _, cache = bridge.run_with_cache(ids, names_filter=lambda name: name.endswith("hook_pattern"))
        assert len(cache) == model.config.num_hidden_layers
        return cache

    return work, version("transformer-lens")


def sight(folder: str, ids: torch.Tensor) -> tuple[Callable[[], object], str]:
    """The attention weights of all layers, saved in a trace."""
    from importlib.metadata import version

    from nnsight import LanguageModel

    model = LanguageModel(folder, dtype=torch.float32, attn_implementation="eager", dispatch=True)
    layers = model.config.num_hidden_layers

    def work() -> object:
        with model.trace(ids):
            saved = list().save()
            for layer in range(layers):
                saved.append(model.model.layers[layer].self_attn.output[1])
        assert saved[-1].shape[-1] == ids.shape[1]
        return saved

    return work, version("nnsight")


def eager(folder: str, ids: torch.Tensor) -> tuple[Callable[[], object], str]:
    """All attention, as the model itself gives it."""
    from importlib.metadata import version

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    return lambda: model(ids, output_attentions=True, logits_to_keep=1).attentions, version("transformers")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
