from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_heads.job import job
from retrieval_heads.ro_crate import write_crate

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    write_crate(Path(snakemake.output[0]).parent, snakemake.params.project)
