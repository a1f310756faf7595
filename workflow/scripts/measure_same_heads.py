from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.analysis.same_heads import same_heads
from retrieval_heads.job import finished_units, job, progress
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.same_heads import SAME_HEADS
from retrieval_heads.tables.scores import SCORES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    # Models share prompts' ids, and an id names its document whatever the model and the variant.
    prompts = pd.concat([tables.read(file, PROMPTS, ["prompt_id", "doc_id"]) for file in snakemake.input.prompts])
    documents = prompts.drop_duplicates().set_index("prompt_id")["doc_id"]
    frames = []
    with progress(len(params.scores), "models whose settings to compare"):
        for files in params.scores.values():
            with finished_units(1):
                scores = tables.Stream(files, SCORES)
                frames.append(same_heads(scores, documents, params.splits, params.seed, params.resamples, params.top_k))
    tables.write(pd.concat(frames, ignore_index=True), snakemake.output[0], SAME_HEADS)
