from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.data.selection import first_documents, shard_of, shard_of_documents, usable
from retrieval_heads.engine.runner import Budget, Decoding, Runner
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.unablated import UNABLATED

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    every = tables.read(source.prompts, PROMPTS)
    twinned = set(first_documents(every, *params.twinned)["doc_id"])
    prompts = usable(first_documents(every, *params.documents), "test", source.prompts)
    model = load_model(source.model, device=compute["device"], **params.loading)
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    budget = Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"])
    runner = Runner(model, tokenizer, budget, Decoding(**params.generation))
    prompts = shard_of_documents(prompts, *shard_of(snakemake.wildcards.shard))
    answers = answer_unablated(runner, prompts, params.answer_types, twinned)
    tables.write(answers, snakemake.output[0], UNABLATED)
