from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.compensation import compared_sets, measure_compensation
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.states import load_state
from retrieval_heads.data.selection import first_documents, shard_of, shard_of_documents, usable, with_answered_twin
from retrieval_heads.engine.runner import Budget, Runner
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.compensation import COMPENSATION
from retrieval_heads.tables.compensation_heads import COMPENSATION_HEADS
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.unablated import UNABLATED

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    prompts = first_documents(tables.read(source.prompts, PROMPTS), params.documents, "controls.compensation.documents")
    prompts = usable(prompts[prompts["question"].isin(params.questions)], "test", source.prompts)
    if source.unablated:
        unablated = tables.read_parts(source.unablated, UNABLATED)
        prompts = with_answered_twin(prompts, unablated, "controls.compensation.interventions")
    prompts = shard_of_documents(prompts, *shard_of(snakemake.wildcards.shard))
    sets = compared_sets(tables.read(source.head_sets, HEAD_SETS), params.methods)
    model = load_model(source.model, device=compute["device"], **params.loading)
    how = Intervention(snakemake.wildcards.intervention, params.mode, "suffix", load_state(source.state, model.device))
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    runner = Runner(model, tokenizer, Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"]))
    of_sets, of_heads = measure_compensation(runner, prompts, sets, how)
    tables.write(of_sets, snakemake.output.sets, COMPENSATION)
    tables.write(of_heads, snakemake.output.heads, COMPENSATION_HEADS)
