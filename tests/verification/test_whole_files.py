"""A file counts as whole where a program that reads it reads all of it."""

import json

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file

from retrieval_heads.verification.files import incomplete


def drawn(file):
    figure = Figure()
    figure.subplots().plot([1, 2])
    figure.savefig(file)


WHOLE = {
    "table.parquet": lambda file: pd.DataFrame({"k": range(1000)}).to_parquet(file),
    "figure.png": drawn,
    "figure.svg": drawn,
    "page.html": lambda file: file.write_text("<!DOCTYPE html>\n<html><p>Findings</p></html>\n"),
    "FINDINGS.md": lambda file: file.write_text("# Findings\n"),
    "findings.json": lambda file: file.write_text(json.dumps({"claims": list(range(100))})),
    "heads.csv": lambda file: file.write_text("layer,head\n1,2\n"),
    "heads.txt": lambda file: file.write_text("1-2\n"),
    "mean.safetensors": lambda file: save_file({"mean": torch.ones(64)}, file),
}


@pytest.fixture(params=WHOLE)
def file(request, tmp_path):
    path = tmp_path / request.param
    WHOLE[request.param](path)
    return path


def test_a_whole_one(file):
    assert incomplete(file) is None


def test_an_empty_one(file):
    file.write_bytes(b"")
    assert incomplete(file) == "is empty"


@pytest.mark.parametrize("share", [0.1, 0.5, 1])
def test_a_part_of_one(file, share):
    """The last one lacks its last byte alone."""
    content = file.read_bytes().rstrip(b"\n")
    file.write_bytes(content[: max(1, int(len(content) * share) - 1)])
    assert incomplete(file).startswith(f"is no whole {file.suffix[1:].upper()} file (")


@pytest.mark.parametrize("name", ["table.parquet", "figure.png"])
def test_one_whose_middle_is_other_bytes(name, tmp_path):
    file = tmp_path / name
    WHOLE[name](file)
    content = bytearray(file.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + 40)
    content[middle] = bytes(byte ^ 255 for byte in content[middle])
    file.write_bytes(content)
    assert "is no whole" in incomplete(file)


def test_a_page_in_the_place_of_a_figure(tmp_path):
    file = tmp_path / "figure.svg"
    file.write_text("<html></html>")
    assert incomplete(file) == "is no whole SVG file (its root is no svg element)"
