from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.noise import count_close_calls
from retrieval_heads.job import job
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables.close_calls import CLOSE_CALLS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    files = {
        name: list(snakemake.input[name]) if name in ("scores", "generations") else [snakemake.input[name]]
        for name in ("generations", "scores", "unablated", "ablation")
    }

    def parts(name):
        table = tables.by_name(name)
        columns = [column for column in ("margin", "source", "intervention", *DIMENSIONS) if column in table.columns]
        return (tables.read(file, table, columns) for file in files[name])

    dtypes = tables.dtypes(file for some in files.values() for file in some)
    found = count_close_calls({name: parts(name) for name in files}, dtypes)
    tables.write(found, snakemake.output[0], CLOSE_CALLS)
