"""Dimensions are described once; keys, poolings, needs, paths and words follow."""

import pytest

from made_tables import SMALL, make_study
from projects import ROOT
from retrieval_heads import figures, plugins, tables
from retrieval_heads.errors import StudyError
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.dimensions import CELL, DIMENSION, DIMENSIONS, POOLED, poolings
from retrieval_heads.study.needs import available, meets
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import setting


@pytest.mark.parametrize("name", DIMENSION)
def test_values_of_a_dimension_have_labels_and_an_order(name):
    config = complete(read_yaml(ROOT / "config" / "tiny.yaml", ""))
    study = Study(config, {method: {} for method in config["methods"]})
    values = study.configured(name)
    assert values and study.in_config_order(name, reversed(values)) == values
    assert all(study.label(name, value) for value in values)


def test_columns_of_a_dimension_have_its_type_in_every_table():
    kinds = {"string": "text", "int32": "integer", "double": "number"}
    for table in tables.all_tables().values():
        for name, type_ in table.fields:
            if name in DIMENSION:
                assert kinds[str(type_)] == DIMENSION[name].kind, (table.name, name)


def test_rankings_are_told_apart_by_their_prompts_and_their_method():
    assert set(DIMENSIONS) == {*CELL, "method"}


def test_effects_are_pooled_over_each_set_of_dimensions_the_smallest_first():
    assert poolings() == [
        ("depth",),
        ("question", "depth"),
        ("context_length", "depth"),
        ("question", "context_length", "depth"),
    ]
    assert poolings(["depth"]) == [
        *poolings(),
        (),
        ("question",),
        ("context_length",),
        ("question", "context_length"),
    ]
    assert set(POOLED) == {"question", "context_length", "depth"}


def test_figures_and_tables_of_the_findings_need_what_studies_can_have():
    known = available(SMALL.config)
    for name, figure in figures.declarations().items():
        assert set(figure.needs) <= set(known), name
    for path in plugins.files("findings.sections").values():
        for name, table in plugins.constants(path).get("SHOWN", {}).items():
            assert set(table["needs"]) <= set(known), name


def test_a_need_that_no_study_can_meet_is_refused():
    with pytest.raises(StudyError, match=r"^new\.py: NEEDS: length is nothing that studies have values of; known are"):
        meets({"length": 2}, available(SMALL.config), "new.py: NEEDS")


def test_a_sentence_says_where_a_result_belongs_but_for_what_is_pooled():
    study = make_study(models=("small",))
    row = {"model": "small", "question": "inc_year", "context_length": 1024, "variant": "plain"}
    assert setting(study, row) == "Year of incorporation at 1,024 tokens in small"
    assert setting(study, row | {"question": None}) == "at 1,024 tokens in small"
