from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.ablation.guard import measure_guard, prose_ids
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.states import load_state
from retrieval_heads.engine.runner import Budget, Runner
from retrieval_heads.identity import unchanged_files
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.head_sets import HEAD_SETS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake), unchanged_files(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    ids = prose_ids(tokenizer, Path(source.prose[0]).read_text(encoding="utf-8"))
    model = load_model(source.model, device=compute["device"], **params.loading)
    runner = Runner(model, tokenizer, Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"]))
    # A replacement is fitted at each length anew; one that is not puts out the same for the sets of all lengths.
    files = list(zip(source.head_sets, source.states, strict=True)) if source.states else [(source.head_sets, None)]
    measured = []
    for head_sets, state in files:
        sets = tables.read_parts([head_sets] if state else head_sets, HEAD_SETS)
        how = Intervention(snakemake.wildcards.intervention, params.mode, params.scope, load_state(state, model.device))
        measured.append(measure_guard(runner, ids, sets, how))
    tables.write(pd.concat(measured, ignore_index=True), snakemake.output[0], GUARD)
