# Which attention heads of a language model fetch a fact from a long context?
# One file in rules/ for each stage, in the order of the workflow; every output goes to results/{study}.

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.19")

# The package is used where it lies; jobs in conda environments inherit this path.
sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from retrieval_heads import runs

# Jobs end with this process, however it ends; what one that was killed has left locked is free again.
runs.begin()

# Threads that wait give their core to others: spinning makes everything several times slower on a machine that is shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A config given on the command line stands alone, whatever it lacks: nothing of the default study is mixed in.
if not workflow.configfiles:

    configfile: "config/config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"


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


include: "rules/analysis.smk"
include: "rules/figures.smk"
include: "rules/exports.smk"
include: "rules/report.smk"
include: "rules/verify.smk"


onstart:
    runs.end_on_signals(end_jobs)


onsuccess:
    if Path(FINDINGS).is_file():
        print(f"\nThe findings are in {Path(FINDINGS).resolve()}")


rule all:
    default_target: True
    # Everything, so that what was deleted is made again, whether anything else reads it or not.
    input:
        list(outputs(config).values()),
