"""Input that was spoilt at random, with seeds: whatever it has become, it is taken, or refused in one sentence.

A longer run: ``FUZZ=100 pytest tests/bad_input/test_fuzz.py`` tries a hundred times as many.
"""

import copy
import json
import os
import random

import pytest
from bad_input_case import require_one_sentence
from config_cases import PUBLISHED, RUN
from document_cases import COLUMNS, HEADER, QUESTIONS, ROWS
from hypothesis import given, settings
from hypothesis import strategies as st
from result_cases import ABLATION, RANKING

from retrieval_heads.data.answers import canonical, find_values, judge, locate
from retrieval_heads.data.documents import make_documents
from retrieval_heads.errors import StudyError
from retrieval_heads.exchange import external_lists, published
from retrieval_heads.model.files import require_whole
from retrieval_heads.plugins import names
from retrieval_heads.preflight import check_surroundings
from retrieval_heads.study.config import complete
from retrieval_heads.study.controls import CONTROLS
from tiny_models import safetensors

TIMES = int(os.environ.get("FUZZ", "1"))
ODD = [
    *(None, True, False, 0, 1, -1, 2, 5, 64, 512, 2**31, 10**30, -0.0, 0.5, 1e-320, float("nan"), float("inf")),
    *(
        "",
        " ",
        "a",
        "\n",
        "a\nb",
        "\x1b[31m",
        "<b>",
        "{x}",
        "$HOME",
        "~/x",
        "../x",
        "/",
        "é",
        "\ud800",
        "\0",
        "x" * 300,
    ),
    *("plain", "zero", "resample", "suffix", "all", "wu24", "1e5", "2024-13-01", b"x"),
    *([], [[]], [None], ["a"], ["a", "a"], [1, 1], [0], [True], [{}], {}, {"a": 1}, {1: 2}, {"": ""}, {None: 1}),
    *({"plain": {}}, {"a": None}, {"a": {}}, {"a": {"b": {}}}, (1, 2), {1, 2}),
]
"""Values that somebody may put anywhere."""


def _places(value, path=()):
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(item, (*path, key))


def spoilt(content, draw, odd=ODD):
    """A copy in which up to three values are gone, are something else, or stand somewhere else."""
    content = copy.deepcopy(content)
    for _ in range(draw.choice([1, 1, 2, 3])):
        if not (places := list(_places(content))):
            break
        path, inner = draw.choice(places), content
        for key in path[:-1]:
            inner = inner[key]
        how = draw.random()
        if how < 0.15:
            del inner[path[-1]]
        elif how < 0.3:
            other = content
            for key in draw.choice(places):
                other = other[key]
            inner[path[-1]] = copy.deepcopy(other)
        elif how < 0.4 and isinstance(inner, dict):
            inner[draw.choice([place[-1] for place in places])] = copy.deepcopy(draw.choice(odd))
        else:
            inner[path[-1]] = copy.deepcopy(draw.choice(odd))
    return content


def spoilt_bytes(content, draw):
    """A copy of some bytes, of which a few are others, gone, or there twice."""
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 3, 20])):
        place, how = draw.randrange(len(content) or 1), draw.random()
        if how < 0.4 and content:
            content[place] = draw.randrange(256)
        elif how < 0.6:
            del content[place : place + draw.randrange(1, 60)]
        elif how < 0.7:
            del content[place:]
        elif how < 0.9:
            content[place:place] = draw.choice([b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"{", b"[", b"\\u", b"NaN"])
        else:
            content += content[:place]
    return bytes(content)


def taken(number, seed, try_one):
    """How many of so many tries are taken; each other one is refused by a StudyError of one sentence."""
    right = 0
    for i in range(number * TIMES):
        try:
            try_one(random.Random(f"{seed} {i}"))
            right += 1
        except StudyError as error:
            require_one_sentence(str(error))
        except Exception as error:
            error.add_note(f"seed {seed}, try {i}")
            raise
    return right


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("config", [RUN, PUBLISHED], ids=["run", "published"])
def test_configs(config):
    whole = complete(copy.deepcopy(config))
    if config is RUN:
        assert all(whole["controls"][name] for name in CONTROLS)

    def try_one(draw):
        completed = complete(spoilt(draw.choice([config, whole]), draw))
        # What it names is not here.
        with pytest.raises(StudyError) as caught:
            check_surroundings(completed)
        require_one_sentence(str(caught.value))

    assert 0 < taken(500, "configs", try_one) < 400 * TIMES


def test_tables_of_documents(tmp_path):
    config = complete(
        {
            "study": "own",
            "models": {"small": {"source": {"path": "model"}}},
            "documents": {"source": "file", "file": "table.csv", **COLUMNS},
            "questions": QUESTIONS,
            "prompts": {"context_lengths": [512]},
        }
    )
    columns = HEADER.strip().split(",")
    lines = [dict(zip(columns, row.strip().split(","), strict=True)) for row in ROWS]

    def try_one(draw):
        if draw.random() < 0.5:
            config["documents"]["file"] = "table.csv"
            content = spoilt_bytes((HEADER + "".join(ROWS)).encode(), draw)
        else:
            config["documents"]["file"] = "table.jsonl"
            odd = [value for value in ODD if not isinstance(value, bytes | set | tuple)]
            rows = spoilt(lines, draw, odd)
            content = "\n".join(
                json.dumps(row) for row in rows if not isinstance(row, dict) or None not in row
            ).encode()
        (tmp_path / config["documents"]["file"]).write_bytes(content)
        make_documents(config, seed=1)

    assert 0 < taken(150, "tables", try_one) < 150 * TIMES


def test_published_results_and_lists(tmp_path):
    config = complete(PUBLISHED | {"published": {"folder": str(tmp_path)}})
    files = {}
    for kind in ("rankings", "ablations"):
        files[kind] = tmp_path / kind / "wu24" / "small" / "place" / "tokens_512.json"
        files[kind].parent.mkdir(parents=True)
    odd = [value for value in ODD if not isinstance(value, bytes | set | tuple) and value != {None: 1}]

    def try_one(draw):
        for kind, content in (("rankings", RANKING), ("ablations", ABLATION)):
            text = json.dumps(spoilt(content, draw, odd) if draw.random() < 0.7 else content).encode()
            files[kind].write_bytes(spoilt_bytes(text, draw) if draw.random() < 0.1 else text)
        published.convert(config)

    assert 0 < taken(100, "published", try_one) < 100 * TIMES

    def try_list(draw):
        text = json.dumps(spoilt({"0-1": [0.5, 0.25], "1-0": 0.1, "2-3": [1]}, draw, odd)).encode()
        (tmp_path / "list.json").write_bytes(spoilt_bytes(text, draw) if draw.random() < 0.5 else text)
        external_lists.rank_list(external_lists.read_list(tmp_path / "list.json"))

    assert 0 < taken(100, "lists", try_list) < 100 * TIMES


def test_files_of_models(tmp_path):
    config = json.dumps({"model_type": "llama", "num_hidden_layers": 5, "num_attention_heads": 8}).encode()
    index = json.dumps({"metadata": {}, "weight_map": {"tensor.0": "model.safetensors"}}).encode()
    contents = {"config.json": config, "model.safetensors": safetensors(), "model.safetensors.index.json": index}

    def try_one(draw):
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        name = draw.choice(list(contents))
        (tmp_path / name).write_bytes(spoilt_bytes(contents[name], draw))
        require_whole(tmp_path)

    assert 0 < taken(200, "models", try_one) < 200 * TIMES


TYPES = names("data.answers")
SAID = st.text(max_size=40) | st.lists(
    st.sampled_from(
        ["Ohio", "OH", "D.C.", "1999", "12,000", "½", "²", "٣", "-", ".", ",", "'", "İ", "ß", "ı̇", " ", "\n"]
    ),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("type", TYPES)
@given(generated=SAID, document=SAID, answer=SAID)
@settings(max_examples=60 * TIMES, deadline=None)
def test_any_text_is_judged(type, generated, document, answer):
    find_values(generated, type)
    try:
        one = canonical(answer, type)
    except StudyError as error:
        assert str(error).isprintable() and str(error).endswith(".")
        return
    assert canonical(one, type) == one
    judge(generated, answer, type, document)
    found = locate(document, answer, type)
    assert found is None or 0 <= found.start < found.end <= len(document)
