from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.analysis.overlap import grids
from retrieval_heads.analysis.ranking_quality import Asked, measure_quality
from retrieval_heads.engine.extent import method_passes
from retrieval_heads.job import job
from retrieval_heads.study.study import Study
from retrieval_heads.tables import read_tables
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.quality_tests import QUALITY_TESTS
from retrieval_heads.tables.ranking_quality import RANKING_QUALITY

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    config = snakemake.params.config
    study = Study(config)
    found = read_tables(snakemake.input)
    costs = {
        (model, length): method_passes(config, grid, length)
        for model, grid in grids(found["rankings"]).items()
        for length in config["prompts"]["context_lengths"]
    }
    asked = Asked(study.levels, study.quality_level, snakemake.params.planted, costs, study.seed, study.resamples)
    quality = measure_quality(
        found.get("head_effects", HEAD_EFFECTS.empty()),
        found["rankings"],
        found["labels"],
        as_outcomes(found["ablation"], study.seed, study.resamples),
        asked,
    )
    tables.write(quality.ranking_quality, snakemake.output.ranking_quality, RANKING_QUALITY)
    tables.write(quality.quality_tests, snakemake.output.quality_tests, QUALITY_TESTS)
