from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.analysis.reliability import split_half
from retrieval_heads.job import job, progress, units
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.reliability import RELIABILITY
from retrieval_heads.tables.scores import SCORES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    # Models share prompts' ids, and an id names its document whatever the model.
    prompts = pd.concat([tables.read(file, PROMPTS)[["prompt_id", "doc_id"]] for file in snakemake.input.prompts])
    documents = prompts.drop_duplicates().set_index("prompt_id")["doc_id"]
    # The scores of all models and lengths would not fit into memory at a time.
    folders = list(dict.fromkeys(Path(file).parent for file in snakemake.input.scores))
    frames = []
    with progress(len(folders), "rankings to halve"):
        for folder in folders:
            with units(1):
                scores = [file for file in snakemake.input.scores if Path(file).parent == folder]
                frames.append(
                    split_half(tables.read_all(scores, SCORES), documents, params.splits, params.seed, params.top_k)
                )
    tables.write(pd.concat(frames, ignore_index=True), snakemake.output[0], RELIABILITY)
