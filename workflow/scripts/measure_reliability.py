from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import derived, tables
from retrieval_heads.reliability import split_half
from retrieval_heads.runtime import job, progress

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    scores = tables.read_all(snakemake.input.scores, tables.SCORES)
    # Models share prompts' ids, and an id names its document whatever the model.
    prompts = pd.concat(
        [tables.read(file, tables.PROMPTS)[["prompt_id", "doc_id"]] for file in snakemake.input.prompts]
    )
    documents = prompts.drop_duplicates().set_index("prompt_id")["doc_id"]
    groups = [group for _, group in scores.groupby(["model", "context_length"], sort=False)]
    frames = [
        split_half(group, documents, params.splits, params.seed, params.top_k)
        for group in progress(groups, len(groups), "rankings to halve")
    ]
    tables.write(pd.concat(frames, ignore_index=True), snakemake.output[0], derived.RELIABILITY)
