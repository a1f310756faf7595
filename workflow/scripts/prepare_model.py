from typing import TYPE_CHECKING

from retrieval_heads.job import job, log
from retrieval_heads.model.identity import unchanged_source
from retrieval_heads.model.loading import prepare_model
from retrieval_heads.versions import require_versions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

params, config = snakemake.params, snakemake.config
with job(snakemake), unchanged_source("models.*", params.source, params.content, config["results"]):
    require_versions(params.versions or {}, config["compute"]["accept_versions"])
    log.info("making local weights")
    prepare_model(params.source, snakemake.output[0])
