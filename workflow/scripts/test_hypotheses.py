from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.hypotheses import run_tests
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.job import job
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.tables import read_tables
from retrieval_heads.tables.select import of_variant
from retrieval_heads.tables.tests import TESTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    study = Study(snakemake.params.config, snakemake.params.methods)
    found = of_variant(read_tables(snakemake.input), PLAIN)
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
