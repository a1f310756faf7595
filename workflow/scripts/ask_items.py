from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.specificity import AskedItems, ask_items
from retrieval_heads.ablation.states import load_state
from retrieval_heads.data.control_items import load_items
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import usable
from retrieval_heads.engine.runner import Budget, Decoding, Runner
from retrieval_heads.identity import unchanged_files
from retrieval_heads.job import job
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_model, load_tokenizer
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.specificity import SPECIFICITY

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_model(snakemake), unchanged_files(snakemake):
    params, source, compute = snakemake.params, snakemake.input, snakemake.config["compute"]
    name, variant, length = (snakemake.wildcards[key] for key in ("model", "variant", "length"))
    prompts = usable(tables.read(source.prompts, PROMPTS), "test", source.prompts)
    model = load_model(source.model, device=compute["device"], **params.loading)
    tokenizer = load_tokenizer(source.model, params.loading["trust_remote_code"])
    # No documents are built into prompts here, so that no haystack is needed.
    builder = Builder(name, tokenizer, None, {}, params.prompts, int(length), params.seed, variant)
    asked = AskedItems.behind(prompts, load_items(source.asked), builder, params.prefixed)
    intervention = Intervention(params.intervention, params.mode, params.scope, load_state(source.state, model.device))
    budget = Budget.for_model(model, compute["batch_tokens"], compute["cache_tokens"])
    runner = Runner(model, tokenizer, budget, Decoding(**params.generation))
    head_sets = tables.read(source.head_sets, HEAD_SETS)
    found = ask_items(runner, asked, params.most, head_sets, params.methods, params.levels, intervention)
    tables.write(found, snakemake.output[0], SPECIFICITY)
