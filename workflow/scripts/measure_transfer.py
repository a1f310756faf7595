from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.transfer import measure_transfer
from retrieval_heads.job import job
from retrieval_heads.tables.transfer import TRANSFER
from retrieval_heads.tables.transfer_drops import TRANSFER_DROPS
from retrieval_heads.tables.transfer_tests import TRANSFER_TESTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    drops, tests = measure_transfer(tables.read(snakemake.input[0], TRANSFER), params.seed, params.resamples)
    tables.write(drops, output.drops, TRANSFER_DROPS)
    tables.write(tests, output.tests, TRANSFER_TESTS)
