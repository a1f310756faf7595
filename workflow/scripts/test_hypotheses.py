from typing import TYPE_CHECKING

from retrieval_heads import derived, drops, tables
from retrieval_heads.derived import read_tables
from retrieval_heads.hypotheses import hypotheses
from retrieval_heads.runtime import job
from retrieval_heads.study import Study

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    study = Study(snakemake.params.config, snakemake.params.methods)
    found = read_tables(snakemake.input)
    results = found["ablation"] if "ablation" in found else found["ablation_summary"]
    tested = hypotheses(
        study,
        found["rankings"],
        found["overlap"],
        found["profiles"],
        drops.of(results, study.seed, study.resamples),
        found.get("reliability"),
    )
    tables.write(tested, snakemake.output[0], derived.TESTS)
