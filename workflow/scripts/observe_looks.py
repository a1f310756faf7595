from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.data.selection import first_documents, shard_of, shard_of_documents, usable
from retrieval_heads.engine.runner import Budget, Decoding, Runner
from retrieval_heads.job import job
from retrieval_heads.looks import observe_looks
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.looks import LOOKS
from retrieval_heads.tables.prompts import PROMPTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    prompts = first_documents(tables.read(source.prompts, PROMPTS), params.documents, "controls.looks.documents")
    prompts = shard_of_documents(usable(prompts, "test", source.prompts), *shard_of(snakemake.wildcards.shard))
    model = load_model(source.model, device=compute["device"], **params.loading)
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    budget = Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"])
    runner = Runner(model, tokenizer, budget, Decoding(**params.generation))
    looks = observe_looks(runner, prompts, params.answer_types)
    tables.write(looks, snakemake.output[0], LOOKS)
