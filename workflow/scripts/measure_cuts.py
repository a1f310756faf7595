from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.analysis.noise import measure_cuts
from retrieval_heads.job import finished_units, job, progress
from retrieval_heads.tables.cuts import CUTS
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.scores import SCORES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params, source = snakemake.params, snakemake.input
    # Models share prompts' ids, and an id names its document whatever the model.
    prompts = pd.concat([tables.read(file, PROMPTS, ["prompt_id", "doc_id"]) for file in source.prompts])
    documents = prompts.drop_duplicates().set_index("prompt_id")["doc_id"]
    dtypes = tables.dtypes(source.scores)
    frames = [CUTS.empty()]
    with progress(len(source.rankings), "rankings to cut"):
        for file, scores in zip(source.rankings, tables.streams_by_folder(source.scores, SCORES), strict=True):
            with finished_units(1):
                rankings = tables.read(file, RANKINGS)
                how = (params.levels, params.resamples, params.seed, params.top_k)
                frames.append(measure_cuts(rankings, scores, documents, dtypes, *how))
    tables.write(pd.concat(frames, ignore_index=True), snakemake.output[0], CUTS)
