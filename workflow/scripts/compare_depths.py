from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.analysis.depth_rankings import compare_depths
from retrieval_heads.job import finished_units, job, progress
from retrieval_heads.tables.depth_rankings import DEPTH_RANKINGS
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.scores import SCORES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    # Models and variants share prompts' ids, and an id names document and depth whatever these are.
    read = [tables.read(file, PROMPTS, ["prompt_id", "doc_id", "depth"]) for file in snakemake.input.prompts]
    prompts = pd.concat(read).drop_duplicates()
    streams = tables.streams_by_folder(snakemake.input.scores, SCORES)
    frames = []
    with progress(len(streams), "rankings to compare by depth"):
        for scores in streams:
            with finished_units(1):
                frames.append(compare_depths(scores, prompts, params.seed, params.resamples))
    tables.write(pd.concat(frames, ignore_index=True), snakemake.output[0], DEPTH_RANKINGS)
