from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.guard import measure_guard, prose_ids
from retrieval_heads.engine.budget import Budget
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer, made_with
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.head_sets import HEAD_SETS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    ids = prose_ids(tokenizer, Path(source.prose).read_text(encoding="utf-8"))
    model = load_model(source.model, device=compute["device"], **params.loading)
    run = tables.made_with(source.head_sets, here={snakemake.wildcards.model: made_with(model)})
    guard = measure_guard(
        model,
        tokenizer,
        ids,
        tables.read_all(source.head_sets, HEAD_SETS),
        intervention=snakemake.wildcards.intervention,
        mode=params.mode,
        scope=params.scope,
        budget=Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"]),
    )
    tables.write(guard, snakemake.output[0], GUARD, run)
