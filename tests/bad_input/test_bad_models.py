"""A model that cannot be read, or is not the one that its files say, is refused in one sentence before it is run."""

import shutil

import pytest
import torch
from bad_input_case import require_one_sentence, require_refused
from model_cases import FOLDERS, GGUF_FILES

from planted import planted_model
from retrieval_heads.errors import StudyError
from retrieval_heads.model.guards import require_trusted
from retrieval_heads.model.loading import (
    load_model,
    load_tokenizer,
    prepare_model,
    require_context,
    require_vocabulary,
)
from retrieval_heads.model.sources import source_module


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a model of four layers, which no test changes."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "sound"
    made = planted_model("The company is headquartered in Ohio.")
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder


def use(source, folder):
    """Do all that a study does with a model before it asks it anything, in the same order."""
    source_module(source).check(source, "models.small")
    if "path" not in source:
        prepare_model(source, folder)
    require_trusted(folder, "models.small", False)
    require_context(folder, "small", 512)
    load_tokenizer(folder)
    load_model(folder, "float32", "cpu")


def test_what_the_cases_spoil_is_sound(sound):
    use({"path": str(sound)}, sound)


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.kind)
def test_a_model_that_is_not_whole_is_refused(sound, tmp_path, case):
    folder = tmp_path / "model"
    shutil.copytree(sound, folder)
    case.given(folder)
    require_refused(case, lambda: use({"path": str(folder)}, folder))


@pytest.mark.parametrize("case", GGUF_FILES, ids=lambda case: case.kind)
def test_a_gguf_file_that_is_not_whole_is_refused_and_leaves_nothing(tmp_path, case):
    (tmp_path / "model.gguf").write_bytes(case.given)
    require_refused(case, lambda: use({"gguf": str(tmp_path / "model.gguf")}, tmp_path / "prepared"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


def test_a_tokenizer_of_another_model_is_refused_where_it_gives_tokens_that_this_one_has_not():
    require_vocabulary("small", 10, [[0, 9], []])
    require_vocabulary("small", None, [[10**6]])
    with pytest.raises(StudyError) as caught:
        require_vocabulary("small", 10, [[0, 9], [10]])
    require_one_sentence(str(caught.value), r"models\.small:", "the tokenizer that belongs to it")
