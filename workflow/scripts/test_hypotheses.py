from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.hypotheses import run_tests
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.job import job
from retrieval_heads.study.study import Study
from retrieval_heads.tables import read_tables
from retrieval_heads.tables.tests import TESTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    study = Study(snakemake.params.config, snakemake.params.methods)
    found = read_tables(snakemake.input)
    results = found["ablation"] if "ablation" in found else found["ablation_summary"]
    tested = run_tests(
        study,
        found["rankings"],
        found["overlap"],
        found["profiles"],
        as_outcomes(results, study.seed, study.resamples),
        found.get("reliability"),
    )
    tables.write(tested, snakemake.output[0], TESTS)
