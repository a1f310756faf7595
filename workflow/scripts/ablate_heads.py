from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.running import ablate_split, first_documents
from retrieval_heads.data.selection import shard_of, usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer, made_with
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.prompts import PROMPTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    intervention = snakemake.wildcards.intervention
    prompts = first_documents(tables.read(source.prompts, PROMPTS), params.documents, intervention)
    prompts = usable(prompts, "test", source.prompts)
    head_sets = tables.read(source.head_sets, HEAD_SETS)
    model = load_model(source.model, device=compute["device"], **params.loading)
    run = tables.made_with([source.head_sets], here={snakemake.wildcards.model: made_with(model)})
    ablation = ablate_split(
        model,
        load_tokenizer(source.model, params.loading["trust_remote_code"]),
        prompts,
        head_sets,
        params.answer_types,
        *shard_of(snakemake.wildcards.shard),
        intervention=intervention,
        mode=params.mode,
        scope=params.scope,
        max_new_tokens=params.generation["max_new_tokens"],
        stop=params.generation["stop"],
        budget=Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"]),
    )
    tables.write(ablation, snakemake.output[0], ABLATION, run)
