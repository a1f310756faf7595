from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.running import ablate_split, leave_open
from retrieval_heads.ablation.states import load_state
from retrieval_heads.data.selection import first_documents, shard_of, shard_of_documents, usable, with_answered_twin
from retrieval_heads.engine.runner import Budget, Decoding, Runner
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.study.modes import twin_modes
from retrieval_heads.tables.ablation import ABLATION_SHARD
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.unablated import UNABLATED

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    name = snakemake.wildcards.intervention
    key = f"ablation.interventions.{name}.documents"
    prompts = first_documents(tables.read(source.prompts, PROMPTS), params.documents, key)
    prompts = usable(prompts, "test", source.prompts)
    head_sets = tables.read(source.head_sets, HEAD_SETS)
    if params.mode in twin_modes():
        unablated = tables.read_parts(source.unablated, UNABLATED)
        prompts = with_answered_twin(prompts, unablated, f"ablation.interventions.{name}.mode")
    prompts = shard_of_documents(prompts, *shard_of(snakemake.wildcards.shard))
    model = load_model(source.model, device=compute["device"], **params.loading)
    intervention = Intervention(name, params.mode, params.scope, load_state(source.state, model.device))
    prompts = prompts[prompts["question"].isin(head_sets["question"])]
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    budget = Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"])
    runner = Runner(model, tokenizer, budget, Decoding(**params.generation))
    ablated = ablate_split(runner, prompts, head_sets, intervention, params.answer_types)
    found = pd.concat([leave_open(prompts, head_sets, intervention), ablated], ignore_index=True)
    tables.write(found, snakemake.output[0], ABLATION_SHARD)
