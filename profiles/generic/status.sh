#!/usr/bin/env bash
# What has become of a SLURM job, in the three words that Snakemake knows.
set -euo pipefail
case $(squeue --noheader --states=all --format=%T --jobs="$1" 2> /dev/null) in
    COMPLETED) echo success ;;
    PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED) echo running ;;
    *) echo failed ;;
esac
