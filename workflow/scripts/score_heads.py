from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.states import load_state
from retrieval_heads.data.selection import shard_of, usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.pace import log_expected_time
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.job import job
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import score_split
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.generations import GENERATIONS
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.scores import SCORES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    prompts = usable(tables.read(source.prompts, PROMPTS), "train", source.prompts)
    model = load_model(source.model, device=compute["device"], **params.loading)
    states = {Path(path).stem: load_state(path, model.device) for path in source.states}
    methods = make_methods(params.methods, states)
    if snakemake.resources.passes:
        log_expected_time(model, prompts["input_ids"].iloc[0], snakemake.resources.passes)
    budget = Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"])
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    runner = Runner(model, tokenizer, budget, Decoding(**params.generation))
    scores, generations = score_split(
        runner, prompts, methods, params.answer_types, *shard_of(snakemake.wildcards.shard)
    )
    tables.write(scores, snakemake.output.scores, SCORES)
    tables.write(generations, snakemake.output.generations, GENERATIONS)
