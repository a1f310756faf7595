from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.single_heads import measure_effects
from retrieval_heads.ablation.states import load_state
from retrieval_heads.data.selection import first_documents, shard_of, shard_of_documents, usable, with_answered_twin
from retrieval_heads.engine.runner import Budget, Runner
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.unablated import UNABLATED

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    prompts = first_documents(tables.read(source.prompts, PROMPTS), params.documents, "yardstick.documents")
    prompts = usable(prompts[prompts["question"].isin(params.questions)], "test", source.prompts)
    if source.unablated:
        unablated = tables.read_parts(source.unablated, UNABLATED)
        prompts = with_answered_twin(prompts, unablated, "yardstick.modes")
    prompts = shard_of_documents(prompts, *shard_of(snakemake.wildcards.shard))
    model = load_model(source.model, device=compute["device"], **params.loading)
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    runner = Runner(model, tokenizer, Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"]))
    effects = measure_effects(runner, prompts, snakemake.wildcards.mode, load_state(source.state, model.device))
    tables.write(effects, snakemake.output[0], HEAD_EFFECTS)
