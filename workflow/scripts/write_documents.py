from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.data.documents import make_documents
from retrieval_heads.identity import unchanged_files
from retrieval_heads.job import job
from retrieval_heads.tables.documents import documents_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_files(snakemake):
    config = {"documents": snakemake.params.documents, "questions": snakemake.params.questions}
    documents = make_documents(config, snakemake.params.seed)
    tables.write(documents, snakemake.output[0], documents_table(config["questions"]))
