from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.engine.runner import Budget, Runner
from retrieval_heads.job import job
from retrieval_heads.labels import label_heads, repeated_runs
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.labels import LABELS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, compute, name = snakemake.params, snakemake.config["compute"], snakemake.wildcards.model
    tokenizer = load_tokenizer(snakemake.input.model, params.loading["trust_remote_code"])
    sequences = repeated_runs(tokenizer, params.seed)
    model = load_model(snakemake.input.model, device=compute["device"], **params.loading)
    runner = Runner(model, tokenizer, Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"]))
    tables.write(label_heads(runner, name, sequences), snakemake.output[0], LABELS)
