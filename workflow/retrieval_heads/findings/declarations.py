"""What the files of the findings declare, read without importing them, as the Snakefile may lack their packages.

Each section and each file of claims declares ``TABLES``: the tables that it reads, each with how many values of a
dimension it takes for a study to have that table. A section also declares ``SHOWN``: the tables that it shows, each
with the title under which Snakemake's report lists it, and how many values of a dimension it takes to show anything.
"""

from collections.abc import Mapping, Sized

from retrieval_heads import plugins
from retrieval_heads.plugins import constants
from retrieval_heads.study.needs import meets


def tables_read(values: Mapping[str, Sized]) -> list[str]:
    """Names of the tables that the findings of a study read, those that the study has.

    Parameters
    ----------
    values : from :func:`retrieval_heads.study.needs.available`.
    """
    found: dict[str, None] = {}
    for kind in ("findings.claims", "findings.sections"):
        for path in plugins.files(kind).values():
            for name, needs in constants(path).get("TABLES", {}).items():
                if meets(needs, values, f"{path.name}: TABLES: {name}"):
                    found[name] = None
    return sorted(found)


def tables_shown(values: Mapping[str, Sized]) -> dict[str, str]:
    """Name → title of the tables in the findings that have something to show.

    Parameters
    ----------
    values : as for :func:`tables_read`.
    """
    return {
        name: table["title"]
        for path in plugins.files("findings.sections").values()
        for name, table in constants(path).get("SHOWN", {}).items()
        if meets(table["needs"], values, f"{path.name}: SHOWN: {name}")
    }
