# Which attention heads of a language model fetch a fact from a long context?
# One file in rules/ for each stage, in the order of the workflow; every output goes to results/{study}.

import logging
import os
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.19")

# The package is used where it lies; jobs in conda environments inherit this path.
sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from retrieval_heads import runs
from retrieval_heads.errors import StudyError
from retrieval_heads.job import KILLED, killed_jobs
from retrieval_heads.logs import screen

# What Snakemake's own log has no room for is on the screen all the same, without a traceback for each line.
logging.raiseExceptions = False
# What the package says in this process, of files and models that it is given, commands no terminal.
logging.getLogger("retrieval_heads").addHandler(screen())

BEGUN = time.time()
# Jobs end with this process, however it ends; on a cluster's nodes, this process ends with the one that sent it.
try:
    runs.begin(of_job=not workflow.is_main_process)
except StudyError as error:
    raise WorkflowError(str(error))

# Threads that wait give their core to others: spinning makes everything several times slower on a machine that is shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A config given on the command line stands alone, whatever it lacks: nothing of the default study is mixed in.
if not workflow.configfiles:

    configfile: "config/config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"


# Jobs on a cluster's nodes are told the run that they belong to.
if runs.FILE in os.environ:

    envvars:
        runs.FILE,


if config["published"]:

    include: "rules/published.smk"

else:

    include: "rules/documents.smk"
    include: "rules/model.smk"
    include: "rules/prompts.smk"
    include: "rules/scores.smk"
    include: "rules/rankings.smk"
    include: "rules/ablation.smk"
    include: "rules/yardstick.smk"
    include: "rules/controls.smk"
    include: "rules/collect.smk"
    include: "rules/noise.smk"


include: "rules/analysis.smk"
include: "rules/figures.smk"
include: "rules/exports.smk"
include: "rules/report.smk"
include: "rules/verify.smk"


onstart:
    claim_outputs()
    runs.end_on_signals(end_jobs)


onsuccess:
    if Path(FINDINGS).is_file():
        print(f"\nThe findings are in {Path(FINDINGS).resolve()}")


onerror:
    for killed in killed_jobs([f"{PATHS.folder}/logs", f"{PATHS.models}/logs"], BEGUN):
        print(f"\n{killed}: {KILLED}", file=sys.stderr)


rule all:
    default_target: True
    # Everything, so that what was deleted is made again, whether anything else reads it or not.
    input:
        list(outputs(config).values()),


include: "rules/crate.smk"
