"""Config, tables and workflow are what the documentation says they are."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml

from retrieval_heads import plugins, tables
from retrieval_heads.engine.extent import passes_by_stage
from retrieval_heads.methods import HeadScorer
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.forms import schema
from retrieval_heads.study.paths import Paths
from retrieval_heads.tables.documents import documents_table
from rule_graph import picture

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(path.relative_to(ROOT)) for pattern in ("*.md", "config/*.md", "docs/*.md") for path in ROOT.glob(pattern)
)
QUESTION = "<question>"


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def sections(text):
    """Title → text of each second-level section."""
    return {part.partition("\n")[0].strip(): part for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]}


def rows(text):
    """The cells of every row of every table, headers and rules left out."""
    lines = re.findall(r"^\|(.+)\|$", text, flags=re.MULTILINE)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    ruled = {i for i, row in enumerate(cells) if all(set(cell) <= set("-: ") and "-" in cell for cell in row)}
    return [row for i, row in enumerate(cells) if i not in ruled and i + 1 not in ruled]


def unquoted(cell):
    return cell.removeprefix("`").removesuffix("`")


# --- versions ------------------------------------------------------------------------------------------------------


def test_the_pythons_that_are_supported_are_said_alike():
    project = tomllib.loads(read("pyproject.toml"))
    least, beyond = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["project"]["requires-python"]).groups()
    assert int(least) <= sys.version_info.minor < int(beyond)
    assert project["tool"]["ruff"]["target-version"] == f"py3{least}"
    assert project["tool"]["mypy"]["python_version"] == f"3.{least}"
    *first, last = (f"3.{minor}" for minor in range(int(least), int(beyond)))
    assert f"Python {', '.join(first)} or {last}" in read("README.md")
    assert f"Python {first[0]} to {last}" in read("docs/python.md")


def test_the_least_snakemake_is_said_alike():
    (least,) = re.findall(r'min_version\("([\d.]+)"\)', read("Snakefile"))
    assert f"snakemake[reports]>={least}\n" in read("requirements.in")
    assert f"oldest Snakemake that has been tried is {least}," in " ".join(read("docs/workflow.md").split())
    installed, needed = ([int(part) for part in text.split(".")[:2]] for text in (version("snakemake"), least))
    assert installed >= needed


# --- config/README.md ----------------------------------------------------------------------------------------------

REQUIRED, FREE = "required", "–"


def walk(rule, path=(), required=False):
    """(dotted name, type, default) of every key that holds a value, in the schema's order."""
    children = {
        name: (sub, name in form.get("required", ()))
        for form in (rule, *rule.get("oneOf", ()))
        for name, sub in form.get("properties", {}).items()
    }
    if path == ("methods",):
        children = {}  # see method_parameters
        yield "methods", "object", json.dumps(rule["default"])
        yield "methods.*", "object", FREE
        yield "methods.*.context_lengths", "list of integers", FREE
        return
    if isinstance(extra := rule.get("additionalProperties"), dict):
        children["*"] = extra, False
    if path and (not children or rule.get("default")):
        default = json.dumps(rule["default"]) if "default" in rule else REQUIRED if required else FREE
        yield ".".join(path), spoken(rule), default
    for name, (sub, needed) in children.items():
        yield from walk(sub, (*path, name), needed)


def spoken(rule):
    """A schema's type in words."""
    if "enum" in rule:
        return one_of(rule["enum"])
    types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    names = [f"list of {rule['items']['type']}s" if name == "array" else name for name in types]
    return " or ".join(sorted(names, key="null".__eq__))


def one_of(values):
    return "one of " + ", ".join(f"`{value}`" for value in values)


def method_parameters():
    """The same for the methods' parameters, which their classes declare."""
    for name in plugins.names("methods"):
        module = plugins.module("methods", name)
        (method,) = (
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if issubclass(value, HeadScorer) and value.__module__ == module.__name__
        )
        for field in dataclasses.fields(method):
            folder = method.limits.get(field.name, {}).get("plugin")
            choices = plugins.names(folder) if folder else getattr(field.type, "__args__", None)
            type_ = one_of(choices) if choices else {float: "number", int: "integer", str: "string"}[field.type]
            yield f"methods.{name}.{field.name}", type_, json.dumps(field.default)


def keys(config_schema):
    """All that config/README.md must list, in order."""
    found = []
    for entry in walk(config_schema):
        found.append(entry)
        if entry[0] == "methods.*.context_lengths":
            found.extend(method_parameters())
    return found


def documented_keys():
    return [(unquoted(key), type_, unquoted(default)) for key, type_, default, _ in rows(read("config/README.md"))]


def test_every_config_key_is_documented_in_the_schemas_order():
    known, documented = ([key for key, *_ in found] for found in (keys(schema()), documented_keys()))
    assert sorted(documented) == sorted(known)
    # Sources have no order among them: each has a file of its own.
    of_sources = ("documents.", "models.*.source.")
    assert [key for key in documented if not key.startswith(of_sources)] == [
        key for key in known if not key.startswith(of_sources)
    ]


@pytest.mark.parametrize(("key", "type_", "default"), keys(schema()), ids=[key for key, *_ in keys(schema())])
def test_types_and_defaults_of_config_keys_are_right(key, type_, default):
    documented = {name: (shown, value) for name, shown, value in documented_keys()}
    shown, value = documented[key]
    assert shown == type_
    assert value == default if default in (REQUIRED, FREE) else json.loads(value) == json.loads(default)


def test_every_config_key_is_explained():
    assert all(meaning.endswith((".", ")")) for *_, meaning in rows(read("config/README.md")))


@pytest.mark.parametrize(
    "place",
    [
        lambda new: new["properties"],
        lambda new: new["properties"]["ablation"]["properties"],
        lambda new: new["properties"]["questions"]["additionalProperties"]["properties"],
        lambda new: new["properties"]["documents"]["oneOf"][0]["properties"],
    ],
    ids=["top", "section", "entry", "form"],
)
def test_an_undocumented_key_is_noticed(place):
    new = json.loads(json.dumps(schema()))
    place(new)["surprise"] = {"type": "integer", "default": 1}
    missing = {key for key, *_ in keys(new)} - {key for key, *_ in documented_keys()}
    assert [key.rpartition(".")[2] for key in missing] == ["surprise"]


def test_the_default_study_says_beside_each_key_how_to_choose_it():
    lines = [line.strip() for line in read("config/config.yaml").splitlines()]
    explained, seen = set(), set()
    for before, line in pairwise(lines):
        key = line.partition(":")[0]
        # A key that is there several times is explained once, and what holds keys alone needs no more than its place.
        if not line.startswith("#") and line and not line.endswith(":"):
            seen.add(key)
            explained |= {key} if before.startswith("#") else set()
    # And the keys of the questions, which a variant takes up.
    obvious = {"package", "file", "reading", *read_yaml(Path("config/config.yaml"), "")["questions"]}
    assert seen - explained == obvious & seen


# --- docs/tables.md ------------------------------------------------------------------------------------------------


def all_tables():
    return {"documents": documents_table([QUESTION]), **tables.all_tables()}


def type_name(type_):
    if hasattr(type_, "value_type"):
        return f"list of {type_name(type_.value_type)}"
    return {"double": "float64", "float": "float32"}.get(str(type_), str(type_))


def documented_tables():
    return sections(read("docs/tables.md"))


def test_every_table_is_documented():
    assert sorted(documented_tables()) == sorted(all_tables())


@pytest.mark.parametrize("name", sorted(all_tables()))
def test_a_tables_columns_types_nulls_and_key_are_right(name):
    table, text = all_tables()[name], documented_tables()[name]
    documented = [(unquoted(column), type_, null) for column, type_, null, _ in rows(text)]
    assert documented == [
        (column, type_name(type_), "yes" if column in table.nullable else "no") for column, type_ in table.fields
    ]
    (key,) = re.findall(r"^Key: (.+)$", text, flags=re.MULTILINE)
    assert tuple(map(unquoted, key.split(", "))) == table.key


def test_every_column_is_explained():
    assert all(meaning.endswith(".") for text in documented_tables().values() for *_, meaning in rows(text))


@pytest.mark.parametrize("name", sorted(all_tables()))
def test_a_table_is_made_where_its_page_says(name):
    path, rule = re.search(r"^`(.+)`, made by `(\w+)`", documented_tables()[name], flags=re.MULTILINE).groups()
    collected = [f"tables/{table}.parquet" for table in ("rankings", "ablation", "transfer")]
    written = "tables/{table}.parquet" if path in collected else path
    paths, text = Paths({"results": "results", "study": "study"}), rule_texts()[rule]
    outputs = re.findall(r'PATHS\.output\("(\w+)"(?:, table="(\w+)")?\)', text)
    made = [paths.output(stage, **({"table": table} if table else {})) for stage, table in outputs]
    assert f"{paths.folder}/{written}" in made


# --- README.md, docs/workflow.md and links -------------------------------------------------------------------------


def rule_texts():
    """Name → text of each rule; those that are named when the workflow is read keep the form of their name."""
    found = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for part in re.split(r"^(?=\s*rule\b)", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if match := re.match(r"\s*rule (\w+):|\s*rule:\s+name:\s+f\"(.+)\"", part):
                found[match[1] or match[2].replace("{figure.name}", "{figure}")] = part
    return found


def test_the_readme_takes_two_minutes():
    assert len(read("README.md").splitlines()) <= 120


def test_the_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\(([^)#]+)", read("README.md")))
    assert {page for page in PAGES if page != "README.md"} <= linked


def test_the_workflow_page_lists_the_rules_and_their_files():
    listed = {row[0].strip("`"): row[1] for row in rows(sections(read("docs/workflow.md"))["The rules"])}
    assert sorted(listed) == sorted(rule_texts())
    for rule, link in listed.items():
        file = re.search(r"\(\.\./(.+)\)", link)[1]
        assert rule.replace("{figure}", "{figure.name}") in read(file)


def test_the_workflow_page_draws_the_rules_as_snakemake_does():
    (shown,) = re.findall(r"```mermaid\n(.+?)```", read("docs/workflow.md"), flags=re.DOTALL)
    graph = subprocess.run(["snakemake", "--rulegraph", "mermaid-js"], capture_output=True, text=True, check=True)
    assert shown == picture(graph.stdout)
    # What the default study does not need is told beside it.
    drawn = set(re.findall(r"\w+_\w+", re.sub(r"\[.*?\]", "", shown))) | {"draw_{figure}"}
    beside = {"convert_published", "compare_imports", "fit_replacement", "compare_other_sets", "compare_depths"}
    beside |= {"verify", "measure_compensation", "summarise_compensation", "observe_looks", "summarise_looks"}
    assert {name for name in rule_texts() if name not in drawn} == beside


def test_the_workflow_page_lists_every_ready_made_study():
    listed = " ".join(row[0] for row in rows(sections(read("docs/workflow.md"))["Ready-made studies"]))
    assert [path.name for path in (ROOT / "config").glob("*.yaml") if f"config/{path.name}" not in listed] == []


def test_the_folders_that_contributors_are_shown_are_there():
    tree = re.findall(r"^    (\w\S+) {2,}\S", sections(read("CONTRIBUTING.md"))["Where things are"], flags=re.MULTILINE)
    assert len(tree) > 10
    assert [name for name in tree if name != "results/" and not (ROOT / name).exists()] == []


def test_new_things_go_into_folders_that_are_there():
    named = re.findall(r"`(\S+)/(?:NAME|KIND|TYPE)\.\w+`", read("CONTRIBUTING.md"))
    assert len(named) > 3
    assert [name for name in named if not (ROOT / name).is_dir()] == []


def anchors(page):
    """The anchors of a page's headings, as they are made where the repository is shown."""
    titles = re.findall(r"^#+ (.+)$", read(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_last_benchmark_is_on_the_page_about_speed_and_its_time_in_the_readme():
    measured = pd.read_parquet(ROOT / "benchmarks" / "results.parquet")
    assert measured["what"].tolist() == [row[0] for row in rows(sections(read("docs/speed.md"))["Measured"])]
    study = measured.set_index("what").loc["the default study, from nothing to its findings"]
    minutes = float(re.match(r"(\d+) s over", study["detail"])[1]) / 60
    assert f"| {minutes:.0f} minutes, or {study['value']:.0f} passes of the model" in read("README.md")


def test_the_page_about_speed_says_what_the_ready_made_studies_take():
    text = sections(read("docs/speed.md"))["What the ready-made studies take"]
    grids = {"config": (30, 9), "smollm2-full": (30, 9), "llama3-8b": (32, 32)}
    stages = [
        passes_by_stage(complete(yaml.safe_load(read(f"config/{name}.yaml"))), 0, grid) for name, grid in grids.items()
    ]
    told = {row[0]: row[1:] for row in rows(text)}
    assert told.pop("**Together**") == [f"{sum(passes.values()):,.0f}" for passes in stages]
    assert set(told) == set().union(*stages)
    for stage, cells in told.items():
        assert cells == [f"{passes[stage]:,.0f}" if stage in passes else "" for passes in stages]


def test_the_files_that_the_methods_page_names_are_there():
    named = set(re.findall(r"`([a-z]\w*/[\w/]*(?:\.py|/))`", read("docs/methods.md")))
    assert len(named) > 15
    places = [ROOT, ROOT / "workflow" / "retrieval_heads"]
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_make_and_shell_scripts_need_nothing_that_macos_lacks():
    # macOS has make 3.81, bash 3.2 and BSD tools.
    beyond = (
        r"\.ONESHELL|\$\(file |!=|grep (-\w*P|--perl)|sed -i|date -d|readlink -f|xargs -r|mapfile|declare -A|\w,,\}"
    )
    scripts = [ROOT / "Makefile", ROOT / ".ci" / "run", *ROOT.glob("envs/*.sh"), *ROOT.glob("profiles/*/*.sh")]
    assert len(scripts) > 3
    found = {path.name: re.findall(beyond, path.read_text(encoding="utf-8")) for path in scripts}
    assert not any(found.values()), found
