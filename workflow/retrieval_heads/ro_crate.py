"""A finished study as an RO-Crate: what was made by which job, from what, when and where, for those who archive it.

The form is that of Provenance Run Crate (Leo et al. 2024, https://doi.org/10.1371/journal.pone.0309210): the workflow,
a step for each rule, and an action for each job. Digests and inputs are from manifests, times and hosts from logs, how
models ran from the findings. The workflow itself lies in the crate, in the folder ``crate``.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from retrieval_heads.atomic_write import atomic_file, atomic_folder
from retrieval_heads.digests import file_digest
from retrieval_heads.errors import StudyError
from retrieval_heads.findings.reading import AGAIN, read_findings
from retrieval_heads.logs import Record, record
from retrieval_heads.manifests import NAME as MANIFEST
from retrieval_heads.reading import read_json, read_yaml
from retrieval_heads.release import VERSION
from retrieval_heads.versions import LIBRARIES

METADATA = "ro-crate-metadata.json"
FOLDER = "crate"
"""Where the workflow and the config lie in the crate."""

_ABOUT_ALL = {METADATA, "verification.json"}
"""Outputs that tell of all others."""

_WORKFLOW = ("Snakefile", "rules", "workflow", "envs", "LICENSE", "CITATION.cff")
"""What of the project lies in the crate."""

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
_PYTHON = "https://www.python.org"
_COMPLETED = "http://schema.org/CompletedActionStatus"
_KINDS = {
    "": "text/plain",
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".py": "text/x-python",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


@dataclass(frozen=True)
class _Job:
    """A job that has made something which is there.

    Parameters
    ----------
    name : its log, by its path in the folder of logs.
    ran : when and where.
    outputs : the manifest of each output.
    """

    name: str
    ran: Record
    outputs: list[Mapping[str, Any]]

    @property
    def rule(self) -> str:
        return self.outputs[0]["rule"]

    @property
    def inputs(self) -> dict[str, str]:
        """Digest of everything that it read, by path: that of an output, or of a file that no job made."""
        first = self.outputs[0]
        return {**first.get("given", {}), **first["inputs"]}

    @property
    def words(self) -> str:
        return " ".join([self.rule, *map(str, self.outputs[0]["wildcards"].values())])


def write_crate(results: str | Path, project: str | Path | None = None) -> Path:
    """Write ``ro-crate-metadata.json`` into the folder of a finished study, and the workflow into ``crate`` beside it.

    Parameters
    ----------
    results : the folder of the study.
    project : the clone of the project that made it; the one that this code lies in, where not given.

    Returns
    -------
    The file.

    Raises
    ------
    StudyError
        when the study is not finished, when an output has no manifest or no log that tells when it was made, or when
        this code lies in no clone.
    """
    results, project = Path(results), Path(project or Path(__file__).parents[2])
    if missing := [name for name in _WORKFLOW if not (project / name).exists()]:
        raise StudyError(f"{project}: lacks {missing[0]}, which belongs into the crate; use a clone of the project.")
    findings = read_findings(results)
    jobs = _jobs(results, f"{findings['config']['results']}/{findings['config']['study']}")
    with atomic_folder(results / FOLDER) as folder:
        for name in _WORKFLOW:
            if (project / name).is_dir():
                shutil.copytree(
                    project / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
                )
            else:
                shutil.copyfile(project / name, folder / name)
        config = json.dumps(findings["config"], indent=1, ensure_ascii=False)
        (folder / "config.json").write_text(f"{config}\n", encoding="utf-8")
    crate = _Crate(results, findings, jobs, read_yaml(project / "CITATION.cff", "mend it"))
    text = json.dumps(crate.made.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
    with atomic_file(results / METADATA) as file:
        file.write_text(f"{text}\n", encoding="utf-8")
    return results / METADATA


class _Crate:
    """A crate under construction; ``made`` holds it."""

    def __init__(self, results: Path, findings: Mapping[str, Any], jobs: list[_Job], citation: Mapping[str, Any]):
        self._results, self._findings, self._jobs, self._citation = results, findings, jobs, citation
        self.made = ROCrate(version="1.1")
        self.made.metadata.extra_contexts.append(_TERMS)
        self._outputs = {one["path"]: one for job in jobs for one in job.outputs}
        self._describe()
        self._add_outputs()
        self._add_workflow()
        self._add_actions()

    def _add(self, id_: str, type_: str, /, **properties: Any) -> dict[str, str]:
        """An entity that is no file; how others refer to it."""
        self.made.add(ContextEntity(self.made, id_, properties={"@type": type_, **_compact(properties)}))
        return {"@id": id_}

    def _add_file(self, path: str, type_: str | list[str] = "File", /, **properties: Any) -> dict[str, str]:
        """A file in the crate."""
        kind = _KINDS.get(Path(path).suffix)
        told = {"encodingFormat": kind} if kind else {}
        self.made.add_file(
            self._results / path, path, properties={"@type": type_, "name": path, **told, **_compact(properties)}
        )
        return {"@id": quote(path)}

    def _describe(self) -> None:
        """What is studied, by whom, and under which licence."""
        root, study = self.made.root_dataset, self._findings["study"]
        root["name"] = self._findings["title"]
        root["description"] = f"The study {study}, by retrieval-heads {VERSION}: {' '.join(self._findings['answer'])}"
        licence = self._citation["license"]
        root["license"] = self._add(f"https://spdx.org/licenses/{licence}", "CreativeWork", name=licence)
        self._authors = [self._author(number, one) for number, one in enumerate(self._citation["authors"], start=1)]
        root["author"] = _compact({"author": self._authors})["author"]
        root["conformsTo"] = [
            self._add(uri, "CreativeWork", name=name, version=uri.rpartition("/")[2]) for uri, name in _PROFILES.items()
        ]

    def _author(self, number: int, author: Mapping[str, str]) -> dict[str, str]:
        id_ = author.get("orcid") or f"#author-{number}"
        if "name" in author:
            return self._add(id_, "Organization", name=author["name"])
        names = {"givenName": author["given-names"], "familyName": author["family-names"]}
        return self._add(id_, "Person", name=" ".join(names.values()), **names)

    def _add_outputs(self) -> None:
        """Every output in the crate with its digest; of a folder also each file."""
        for path, made in self._outputs.items():
            if path.startswith("../"):
                continue
            if made.get("files") is None:
                self._add_file(path, contentSize=str(made["size"]), sha256=made["sha256"])
                continue
            inside = [
                self._add_file(f"{path}/{name}", contentSize=str(one["size"]), sha256=one["sha256"])
                for name, one in made["files"].items()
            ]
            self.made.add_dataset(self._results / path, path, properties={"name": path, "hasPart": inside})

    def _add_workflow(self) -> None:
        """The workflow with its rules, and the software that it ran with."""
        made_with = self._findings["made_with"]
        language = self._add(
            _LANGUAGE, "ComputerLanguage", name="Snakemake", url="https://snakemake.readthedocs.io",
            identifier={"@id": "https://snakemake.readthedocs.io"},
        )  # fmt: skip
        python = self._add(_PYTHON, "ComputerLanguage", name="Python", url=_PYTHON)
        scripts: dict[str, set[str]] = {}
        for job in self._jobs:
            scripts.setdefault(_script(job.rule), set()).update(one["code"] for one in job.outputs)
        tools = {
            script: self._add_file(
                f"{FOLDER}/workflow/scripts/{script}.py", ["File", "SoftwareSourceCode"], name=script,
                version=", ".join(sorted(codes)), programmingLanguage=python, author=self._authors,
            )
            for script, codes in sorted(scripts.items())
        }  # fmt: skip
        self._rules = {rule: tools[_script(rule)] for rule in sorted({job.rule for job in self._jobs})}
        self._steps = {
            rule: self._add(f"#step/{rule}", "HowToStep", name=rule, position=str(number), workExample=tool)
            for number, (rule, tool) in enumerate(self._rules.items(), start=1)
        }
        self._workflow = self._add_file(
            f"{FOLDER}/Snakefile", ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            name="retrieval-heads", version=VERSION, programmingLanguage=language, author=self._authors,
            license=self.made.root_dataset["license"], hasPart=list(tools.values()), step=list(self._steps.values()),
            softwareRequirements=list(self._libraries(made_with["models"])), sha256=self._digest("Snakefile"),
        )  # fmt: skip
        self.made.root_dataset["mainEntity"] = self._workflow
        self._config = self._add_file(
            f"{FOLDER}/config.json", name="The study's config, with all defaults filled in",
            sha256=self._digest("config.json"),
        )  # fmt: skip
        for name in ("rules", "workflow", "envs"):
            self.made.add_dataset(self._results / FOLDER / name, f"{FOLDER}/{name}", properties={"name": name})
        for name in ("LICENSE", "CITATION.cff"):
            self._add_file(f"{FOLDER}/{name}", sha256=self._digest(name))

    def _digest(self, name: str) -> str:
        return file_digest(self._results / FOLDER / name)

    def _libraries(self, models: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, str]]:
        """The libraries that models ran with, in each of their versions."""
        for name in LIBRARIES:
            versions = {version for run in models.values() if name in run for version in run[name].split(", ")}
            for version in sorted(versions):
                yield self._add(
                    f"#{name}-{quote(version)}", "SoftwareApplication", name=name, softwareVersion=version,
                    url=f"https://pypi.org/project/{name}/",
                )  # fmt: skip

    def _add_actions(self) -> None:
        """What each job did; that Snakemake had them done; and the whole."""
        actions, controls = [], []
        given: dict[str, dict[str, str]] = {}
        for job in self._jobs:
            read = {path: self._read(path, digest) for path, digest in job.inputs.items()}
            given |= {path: one for path, one in read.items() if path not in self._outputs}
            action = self._action(
                f"#job/{quote(job.name)}", job.words, self._rules[job.rule], list(read.values()),
                [self._read(one["path"], one["sha256"]) for one in job.outputs], job.ran.begun, job.ran.ended,
            )  # fmt: skip
            self.made.dereference(action["@id"])["description"] = f"{job.ran.seconds:.1f} s on {job.ran.host}"
            actions.append(action)
            controls.append(
                self._add(
                    f"#control/{quote(job.name)}", "ControlAction", name=f"Have {job.words} done",
                    instrument=self._steps[job.rule], object=action, actionStatus=_COMPLETED,
                )
            )  # fmt: skip
        results = [self._read(path, one["sha256"]) for path, one in self._outputs.items() if not path.startswith("../")]
        begun = min((job.ran.begun for job in self._jobs), key=datetime.fromisoformat)
        ended = max((job.ran.ended for job in self._jobs), key=datetime.fromisoformat)
        run = self._action(
            "#run", f"The study {self._findings['study']}", self._workflow, [self._config, *given.values()], results,
            begun, ended,
        )  # fmt: skip
        self.made.dereference(run["@id"])["description"] = "All jobs whose outputs are there, of one run or of several"
        engine = self._add("#snakemake", "SoftwareApplication", name="Snakemake", url="https://snakemake.github.io")
        organized = self._add(
            "#organized", "OrganizeAction", name="Snakemake has the jobs done", instrument=engine,
            object=controls, result=run, startTime=begun, endTime=ended, actionStatus=_COMPLETED,
        )  # fmt: skip
        self.made.root_dataset["mentions"] = [run, organized, *actions]

    def _action(
        self, id_: str, name: str, instrument: dict, read: list[dict], made: list[dict], begun: str, ended: str
    ) -> dict[str, str]:
        return self._add(
            id_, "CreateAction", name=name, instrument=instrument, object=read, result=made, startTime=begun,
            endTime=ended, actionStatus=_COMPLETED,
        )  # fmt: skip

    def _read(self, path: str, digest: str) -> dict[str, str]:
        """What a job read or made: in the crate, or told by name and digest alone, as models and files of users are."""
        if path in self._outputs and not path.startswith("../"):
            return {"@id": f"{quote(path)}/" if self._outputs[path].get("files") is not None else quote(path)}
        id_ = f"#given/{quote(path.removeprefix('../'))}"
        if self.made.dereference(id_) is None:
            self._add(id_, "CreativeWork", name=path.removeprefix("../"), sha256=digest)
        return {"@id": id_}


def _compact(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties as RO-Crate asks for them: a single value is no list."""
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in properties.items()
    }


def _script(rule: str) -> str:
    """The script of a rule: of its name, but for the rules of figures, which share one."""
    return "draw_figure" if rule.startswith("draw_") else rule


def _jobs(results: Path, told_as: str) -> list[_Job]:
    """The jobs that made what there is, in the order in which they began.

    Parameters
    ----------
    results : the folder of the study.
    told_as : that folder as logs have it, before their outputs.
    """
    manifests = {one["path"]: one for one in _manifests(results)}
    read = {path for one in manifests.values() for path in one["inputs"]}
    found, logs = [], results / "logs"
    for log, name in _logs(results, read):
        ran = record(log)
        paths = [Path(os.path.relpath(output, told_as)).as_posix() for output in ran.outputs] if ran else []
        there = [path for path in paths if path not in _ABOUT_ALL and (results / path).exists()]
        for path in there:
            if path not in manifests:
                raise StudyError(f"{results / path}: has no manifest that tells what it is; delete it and run again.")
        if ran and there:
            found.append(_Job(name, ran, [manifests[path] for path in there]))
    if not found:
        raise StudyError(f"{logs}: no log tells what jobs did; {AGAIN}.")
    known = {one["path"] for job in found for one in job.outputs}
    for path in manifests:
        if path not in known and path not in _ABOUT_ALL and not path.startswith("../") and (results / path).exists():
            raise StudyError(f"{results / path}: no log tells when it was made; delete it and run again.")
    return sorted(found, key=lambda job: (datetime.fromisoformat(job.ran.begun), job.name))


def _manifests(results: Path) -> Iterator[dict[str, Any]]:
    """The manifests of a study's outputs, and of the prepared models beside it."""
    for folder in (results, results.parent / "models"):
        for file in sorted(folder.rglob(f"*{MANIFEST}")):
            yield read_json(file, "delete it and what it is of, and run again")


def _logs(results: Path, read: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """The logs of a study's jobs, and of those that made the models that they read, each with its name."""
    logs = results / "logs"
    for log in sorted(logs.rglob("*.log")):
        yield log, log.relative_to(logs).with_suffix("").as_posix()
    for path in sorted(read):
        log = results.parent / "models" / "logs" / f"{Path(path).name}.log"
        if path.startswith("../models/") and log.is_file():
            yield log, f"models/{Path(path).name}"
