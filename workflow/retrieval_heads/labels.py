"""What is known of each head of a model whatever it is asked: whether it continues repetitions, whether it rests on the
first token, with whom it shares keys, and how much it writes."""

from collections.abc import Sequence

import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from retrieval_heads.data.encoding import control_tokens
from retrieval_heads.engine.runner import Runner, naming
from retrieval_heads.errors import StudyError
from retrieval_heads.job import finished_units, progress
from retrieval_heads.seeds import generator
from retrieval_heads.tables.labels import INDUCTION, LABELS

RUN, DRAWS = 64, 8
"""How many random tokens are repeated, and how many such sequences there are."""


def repeated_runs(tokenizer: PreTrainedTokenizerBase, seed: int) -> list[list[int]]:
    """Sequences that repeat themselves: BOS, where the tokenizer has one, 64 distinct random tokens, and these again.

    The tokens are words of the vocabulary, none of them a control token; only repetition tells which comes next.

    Raises
    ------
    StudyError
        when there are not so many.
    """
    words = set(tokenizer.get_vocab().values()) - set(control_tokens(tokenizer)) - set(tokenizer.all_special_ids)
    if len(words) < RUN:
        raise StudyError(
            f"{type(tokenizer).__name__}: it has {len(words)} tokens beside control tokens, and labels of heads need "
            f"{RUN}; choose another model."
        )
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    runs = [generator(seed, "labels", draw).choice(sorted(words), RUN, replace=False).tolist() for draw in range(DRAWS)]
    return [[*bos, *run, *run] for run in runs]


def label_heads(runner: Runner, model: str, sequences: Sequence[Sequence[int]]) -> pd.DataFrame:
    """Label every head of a model.

    - Induction (Olsson et al. 2022, "In-context Learning and Induction Heads", arXiv 2209.11895): the mean attention,
      over the second half of a sequence, from each token to the one that followed the same token before.
    - Sink share (Xiao et al. 2023, arXiv 2309.17453): of the tokens behind the first, the share whose strongest key is
      the first token.
    - Write norm: the mean of ‖W_O z‖ over the same tokens, with the head's slice of the output projection.

    Parameters
    ----------
    model : its name.
    sequences : from :func:`repeated_runs`: token ids that end in two equal runs of R tokens, with at most one before.

    Returns
    -------
    The labels table. A model that would not be measured exactly is refused first.
    """
    runner.require_measurable(1, max(map(len, sequences)))
    shape = runner.layers, runner.heads
    induction, sink, norm = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))
    grams = runner.output_grams()
    with progress(len(sequences), "repetitions to label heads by"):
        for ids in sequences:
            with finished_units(1), naming(["random tokens that are repeated"]):
                run = len(ids) // 2
                trace = runner.trace(ids[:1], ids[1:])
                second = torch.arange(len(ids) - run, len(ids))
                for layer in trace.layers:
                    rows = trace.attention(layer)  # of the tokens behind the first
                    induction[layer] += rows[:, second - 1, second - (run - 1)].mean(-1).double().cpu()
                    sink[layer] += (rows.argmax(-1) == 0).double().mean(-1).cpu()
                    if grams is not None:
                        z = trace.outputs(layer).float()
                        squared = ((z @ grams[layer]) * z).sum(-1).clamp(min=0)
                        norm[layer] += squared.sqrt().mean(-1).double().cpu()
    # The same in every trace.
    shared_by = [runner.heads // trace.key_value_heads(layer) for layer in trace.layers]
    groups = torch.stack([torch.arange(runner.heads) // heads for heads in shared_by])
    frame = pd.DataFrame(
        {
            "model": model,
            "layer": torch.arange(runner.layers).repeat_interleave(runner.heads).numpy(),
            "head": torch.arange(runner.heads).repeat(runner.layers).numpy(),
            "key_value_group": groups.flatten().numpy(),
            "induction": induction.flatten().numpy() / len(sequences),
            "sink_share": sink.flatten().numpy() / len(sequences),
            "write_norm": float("nan") if grams is None else norm.flatten().numpy() / len(sequences),
        }
    )
    return frame.assign(is_induction=frame["induction"] >= INDUCTION)[LABELS.columns]
