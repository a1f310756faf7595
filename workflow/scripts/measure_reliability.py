from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.analysis.reliability import split_half
from retrieval_heads.job import finished_units, job, progress
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.reliability import RELIABILITY
from retrieval_heads.tables.scores import SCORES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    # Models share prompts' ids, and an id names its document whatever the model.
    prompts = pd.concat([tables.read(file, PROMPTS, ["prompt_id", "doc_id"]) for file in snakemake.input.prompts])
    documents = prompts.drop_duplicates().set_index("prompt_id")["doc_id"]
    streams = tables.streams_by_folder(snakemake.input.scores, SCORES)
    frames = []
    with progress(len(streams), "rankings to halve"):
        for scores in streams:
            with finished_units(1):
                frames.append(split_half(scores, documents, params.splits, params.seed, params.top_k))
    tables.write(pd.concat(frames, ignore_index=True), snakemake.output[0], RELIABILITY)
