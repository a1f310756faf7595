from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.data.documents import document_source
from retrieval_heads.data.haystack import DOCUMENTS, haystack_files, load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.identity import unchanged_files
from retrieval_heads.job import job
from retrieval_heads.model.files import read_config
from retrieval_heads.model.guards import require_trusted
from retrieval_heads.model.identity import unchanged_model
from retrieval_heads.model.loading import load_tokenizer, require_context, require_vocabulary
from retrieval_heads.tables.documents import documents_table
from retrieval_heads.tables.prompts import PROMPTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with (
    job(snakemake),
    unchanged_model(snakemake),
    unchanged_files(snakemake, haystack=lambda: haystack_files(snakemake.params.prompts["haystack"])),
):
    params, model, length = snakemake.params, snakemake.wildcards.model, int(snakemake.wildcards.length)
    require_trusted(snakemake.input.model, f"models.{model}", trusted := params.trust_remote_code)
    require_context(snakemake.input.model, model, length, trusted)
    documents = tables.read(snakemake.input.documents, documents_table(params.questions))
    chosen = params.prompts["haystack"]
    haystack = None if chosen == DOCUMENTS else load_haystack(chosen)
    tokenizer = load_tokenizer(snakemake.input.model, trusted)
    variant = snakemake.wildcards.variant
    source = None if params.documents is None else {"documents": params.documents}
    decoy = None if source is None else document_source(source).decoys(source)
    builder = Builder(model, tokenizer, haystack, params.questions, params.prompts, length, params.seed, variant, decoy)
    prompts = builder.build(documents)
    require_vocabulary(model, read_config(snakemake.input.model).get("vocab_size"), prompts["input_ids"].dropna())
    tables.write(prompts, snakemake.output[0], PROMPTS)
