"""Which versions of libraries count for a job, and when another is refused."""

import logging
import re

import numpy as np
import pytest
import tokenizers
import torch
import transformers

from projects import ROOT
from retrieval_heads.errors import StudyError
from retrieval_heads.versions import (
    LIBRARIES,
    library_versions,
    pinned_versions,
    recorded_versions,
    require_versions,
)


def test_the_versions_are_those_that_are_imported():
    modules = dict(zip(LIBRARIES, (torch, transformers, tokenizers, np), strict=True))
    assert library_versions() == {name: str(module.__version__) for name, module in modules.items()}


def test_one_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("retrieval_heads.versions.LIBRARIES", (*LIBRARIES, "no-such-library"))
    with pytest.raises(StudyError, match=r"^no-such-library: this Python package is not installed; run pip install"):
        library_versions()


def test_pins_are_those_of_the_environment_of_jobs_that_ask_a_model():
    text, pins = (ROOT / "envs" / "model.yaml").read_text(), pinned_versions()
    assert tuple(pins) == LIBRARIES
    for name, pinned in pins.items():
        assert re.search(rf"^ +- {name} ==?{re.escape(pinned)}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("here", "planned"),
    [("2.13.0+cpu", "2.13.0+cpu"), ("2.13.0+cpu", "2.13.0"), ("5.13.2", "5.13"), ("5.13", "5.13")],
)
def test_what_fits_runs(monkeypatch, here, planned):
    monkeypatch.setattr("retrieval_heads.versions.library_versions", lambda: dict.fromkeys(LIBRARIES, here))
    require_versions(dict.fromkeys(LIBRARIES, planned), accept=False)


@pytest.mark.parametrize(
    ("here", "planned"),
    [("2.13.0+cpu", "2.13.0+cu130"), ("2.13.1", "2.13.0"), ("5.130.0", "5.13"), ("5.13", "5.13.1")],
)
def test_what_does_not_fit_is_refused_or_where_that_is_accepted_told(monkeypatch, caplog, here, planned):
    installed = dict.fromkeys(LIBRARIES, "1.0")
    monkeypatch.setattr("retrieval_heads.versions.library_versions", lambda: installed | {"numpy": here})
    wanted = installed | {"numpy": planned}
    told = f"numpy {here} in place of {planned}"
    with pytest.raises(StudyError, match=re.escape(f"compute.accept_versions: this job would run with {told}; type")):
        require_versions(wanted, accept=False)
    with caplog.at_level(logging.INFO, "retrieval_heads"):
        require_versions(wanted, accept=True)
    assert told in caplog.text


def test_what_is_recorded_of_an_output_is_found_among_its_parameters():
    made = dict.fromkeys(LIBRARIES, "1.0")
    assert recorded_versions([repr("x"), repr({"haystack": "0"}), repr({}), repr(made), "None"]) == made
    assert recorded_versions([repr("x"), repr({"torch": "1.0"})]) is None
