"""The yardstick of rankings: what the answer to each test prompt loses without each head by itself."""

import pandas as pd

from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.replacements import State
from retrieval_heads.data.selection import expected_answer, group_by_context, lengths, twin_of
from retrieval_heads.engine.runner import Runner, naming
from retrieval_heads.job import finished_units, progress
from retrieval_heads.tables.head_effects import HEAD_EFFECTS, effects_row


def measure_effects(runner: Runner, prompts: pd.DataFrame, mode: str, state: State) -> pd.DataFrame:
    """The exact effect of every head on every prompt, each head ablated by itself in suffix and answer.

    Parameters
    ----------
    prompts : usable rows of the prompts table of one model and context length, in the table's order; perhaps none. They
        have a twin where the replacement needs one, and then the log-odds against its answer are measured too.
    mode : the name of a file in ``ablation/replacements``: what an ablated head puts out.
    state : what the fit of that found, on the model's device; empty for one that needs no fit.

    Returns
    -------
    The head_effects table. A model that would not be measured exactly is refused first.
    """
    if prompts.empty:
        return HEAD_EFFECTS.empty()
    runner.require_measurable(*lengths(prompts, 0))
    how = Intervention("yardstick", mode, "suffix", state)
    rows = []
    with progress(len(prompts), "prompts to answer without each head"):
        for group in group_by_context(prompts):
            for prompt in group.itertuples():
                ids = list(prompt.input_ids)
                with finished_units(1), naming([prompt.prompt_id]):
                    found = runner.single_head_effects(
                        ids[: prompt.suffix_start],
                        ids[prompt.suffix_start :],
                        expected_answer(runner.tokenizer, prompt),
                        how.replacement,
                        twin=twin_of(runner.tokenizer, prompt) if how.needs_twin else None,
                    )
                odds = found.logodds_effects
                rows.append(
                    effects_row(
                        prompt,
                        mode,
                        found.answer_logprob,
                        found.effects.numpy(),
                        found.answer_logodds,
                        None if odds is None else odds.numpy(),
                    )
                )
    return pd.DataFrame(rows, columns=HEAD_EFFECTS.columns)
