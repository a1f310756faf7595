from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.replacements import make_replacement
from retrieval_heads.ablation.states import save_state
from retrieval_heads.data.selection import usable
from retrieval_heads.engine.runner import Budget, Runner
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.prompts import PROMPTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    prompts = usable(tables.read(source.prompts, PROMPTS), "train", source.prompts)
    model = load_model(source.model, device=compute["device"], **params.loading)
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    runner = Runner(model, tokenizer, Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"]))
    save_state(make_replacement(snakemake.wildcards.replacement).fit(runner, prompts), snakemake.output[0])
