from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import derived, tables
from retrieval_heads.reliability import split_half
from retrieval_heads.runtime import job, progress

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    files = list(zip(snakemake.input.scores, snakemake.input.prompts, strict=True))
    frames = []
    for scores, prompts in progress(files, len(files), "rankings to halve"):
        documents = tables.read(prompts, tables.PROMPTS).set_index("prompt_id")["doc_id"]
        frames.append(
            split_half(tables.read(scores, tables.SCORES), documents, params.splits, params.seed, params.top_k)
        )
    tables.write(pd.concat(frames, ignore_index=True), snakemake.output[0], derived.RELIABILITY)
