"""All that a study makes, as its config asks for it: what a run is for, and what is verified afterwards."""

from collections.abc import Mapping

from retrieval_heads.figures import declarations, drawable
from retrieval_heads.findings.declarations import tables_read, tables_shown
from retrieval_heads.study.needs import available
from retrieval_heads.study.paths import Paths

COLLECTED = (
    *("rankings", "unablated", "ablation", "guard", "head_effects", "labels"),
    *("transfer", "specificity", "compensation", "compensation_heads", "looks"),
)
"""The tables that are put together from the parts of several jobs."""

_STAGES = ("documents", "prompts", "scores", "generations", "head_sets", *COLLECTED)
_PAGES = ("findings", "markdown", "for_programs")


def outputs(config: Mapping) -> dict[str, list[str]]:
    """Stage → the paths of what it makes in a study, exports and pages included.

    What is made on the way alone, and can be had again at little cost, is left out: prepared models, and the states of
    what is put in place of ablated heads.

    Parameters
    ----------
    config : with all defaults filled in.
    """
    paths, values = Paths(config), available(config)
    stages = () if config["published"] else _STAGES
    figures = drawable(values)
    pages = ["head_map", *tables_shown(values)]
    return {
        **{stage: paths.every(stage) for stage in stages},
        "tables": [paths.output("tables", table=table) for table in tables(config)],
        "exports": paths.every("exports"),
        "figures": [paths.output("figures", figure=figure) for figure in figures],
        "pictures": [paths.output("pictures", figure=figure) for figure in figures],
        "pages": [paths.output("pages", page=page) for page in pages],
        **{page: [paths.output(page)] for page in _PAGES},
    }


def tables(config: Mapping) -> list[str]:
    """The names of the tables in a study's folder of tables: those that its findings or its figures read, and those
    that others of them are made from."""
    values = available(config)
    read = {*tables_read(values), *(table for name in drawable(values) for table in declarations()[name].tables)}
    if not config["published"]:
        read |= {name for name in COLLECTED if Paths(config).every(name)}
    return sorted(read)
