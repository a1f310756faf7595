"""The results of a study, as they lie in their folder, for checks to look at."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import pandas as pd

from retrieval_heads import manifests, tables
from retrieval_heads.errors import StudyError
from retrieval_heads.manifests import Manifest
from retrieval_heads.outputs import outputs
from retrieval_heads.study.paths import Paths
from retrieval_heads.tables import Table
from retrieval_heads.tables.ablation import ABLATION_SHARD
from retrieval_heads.tables.documents import documents_table
from retrieval_heads.tables.transfer import TRANSFER_SHARD

_OF_SHARDS = {"ablation": ABLATION_SHARD, "transfer": TRANSFER_SHARD}


class Made:
    """What a study has made, wherever its folder lies now.

    Parameters
    ----------
    folder : of its results.
    config : with all defaults filled in.
    """

    def __init__(self, folder: str | Path, config: Mapping):
        self.folder = Path(folder)
        self.config = config
        here = {**config, "results": str(self.folder.parent), "study": self.folder.name}
        self.paths = Paths(here)
        self.asked = {stage: list(map(Path, files)) for stage, files in outputs(here).items()}
        """Stage → the outputs that the config asks for, whether they are there or not."""

    def name(self, path: str | Path) -> str:
        """How a file is called: relative to the folder."""
        return manifests.relative(path, self.folder)

    def path(self, name: str) -> Path:
        """The file of a name."""
        return self.folder / name

    @cached_property
    def manifests(self) -> dict[str, Manifest]:
        """Name → manifest of all outputs that have a valid one: those that are asked for, and all that these were made
        from."""
        waiting = [self.name(path) for files in self.asked.values() for path in files]
        found: dict[str, Manifest] = {}
        seen = set(waiting)
        while waiting:
            name = waiting.pop()
            try:
                found[name] = manifests.read(self.path(name))
            except StudyError:
                continue
            waiting += [path for path in found[name].inputs if path not in seen]
            seen.update(found[name].inputs)
        return found

    @cached_property
    def users(self) -> dict[str, list[str]]:
        """Name → the outputs that were made from it."""
        found: dict[str, list[str]] = {}
        for name, manifest in self.manifests.items():
            for path in manifest.inputs:
                found.setdefault(path, []).append(name)
        return found

    @cached_property
    def outputs(self) -> list[str]:
        """The names of all outputs: those asked for, and what they were made from; prepared models are left out."""
        asked = [self.name(path) for files in self.asked.values() for path in files]
        return list(dict.fromkeys([*asked, *(name for name in self.users if not name.startswith("../"))]))

    @cached_property
    def models(self) -> list[str]:
        """The names of the prepared models that the outputs were made with, and that are here."""
        return [name for name in self.users if name.startswith("../") and self.path(name).exists()]

    def form(self, path: Path) -> Table:
        """The table that a Parquet file holds."""
        stage = Path(self.name(path)).parts[0]
        if stage == "documents.parquet":
            return documents_table(self.config["questions"])
        if stage == "tables":
            return tables.by_name(path.stem)
        return _OF_SHARDS.get(stage) or tables.by_name(stage)

    def file_of(self, table: str) -> Path:
        """The file of a table in the folder of tables."""
        return Path(self.paths.output("tables", table=table))

    def table(self, name: str, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """A table of the folder of tables.

        Raises
        ------
        StudyError
            when it cannot be read.
        """
        return tables.read(self.file_of(name), tables.by_name(name), columns)

    def has(self, *names: str) -> list[str]:
        """These tables, if the study has all of them; else none."""
        known = {path.stem for path in self.asked["tables"]}
        return list(names) if known.issuperset(names) else []

    def parts(self, stage: str) -> list[Path]:
        """The files of a stage; none where the study has no such stage."""
        return self.asked.get(stage, [])

    def read(self, path: Path, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """A Parquet file.

        Raises
        ------
        StudyError
            when it cannot be read.
        """
        return tables.read(path, self.form(path), columns)
