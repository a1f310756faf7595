"""The profiles for clusters, on a real SLURM of one node with two GPUs that are none."""

import importlib.util
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import one_node_slurm
from test_workflow import TINY, Project, planted_folder  # noqa: F401

pytestmark = pytest.mark.slow

PLUGIN = "snakemake_executor_plugin_slurm"
# A cluster without accounting, on which jobs take seconds.
HASTE = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
SLURM = ["--workflow-profile", "profiles/slurm", *HASTE, "--jobs", "8", "--set-threads", "score_heads=1", "ablate_heads=1", *TINY]


@pytest.fixture(scope="module")
def cluster():
    if importlib.util.find_spec(PLUGIN) is None:
        pytest.skip(f"{PLUGIN} is not installed; it is in requirements-dev.txt")
    if reason := one_node_slurm.install():
        pytest.skip(reason)
    with one_node_slurm.Cluster() as running:
        yield running


def copy_of_the_project(folder, model):
    project = Project(folder)
    project.path(".cache").mkdir()
    project.path(".cache", "planted-model").symlink_to(model)
    return project


def test_x(cluster, tmp_path, planted_folder):
    project = copy_of_the_project(tmp_path, planted_folder)
    t = time.time()
    said = project.snakemake(*SLURM)
    print(said, time.time() - t)
    print(cluster.ask("squeue","--states=all","--format=%i %T %k %P %m %l %b %C %S %e"))
    assert 0
