import shutil
from pathlib import Path

import pytest

from retrieval_heads import provenance
from retrieval_heads.provenance import code_digest

FILES = {  # a package whose every file is named after what it is to the script
    "script.py": "from fake import direct\nfrom fake.sub.inner import thing\nimport json\n",
    "other_script.py": "from fake.unrelated import thing\n",
    "fake/__init__.py": "",
    "fake/direct.py": "import fake.transitive\n",
    "fake/transitive.py": "from fake.deepest import thing, other\n\n\ndef late():\n    from fake import lazy\n",
    "fake/deepest.py": "from fake.direct import circle\n",
    "fake/lazy.py": "",
    "fake/unrelated.py": "",
    "fake/sub/__init__.py": "",
    "fake/sub/inner.py": "thing = 1\n",
    "fake/sub/unrelated.py": "",
    "fake/plugins/one.py": "from fake import helper\n",
    "fake/plugins/two.py": "",
    "fake/helper.py": "",
    "templates/page.j2": "<p>",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / "a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(provenance, "_ROOT", tmp_path / "a" / "fake")
    monkeypatch.setattr(provenance, "_PACKAGE", "fake")
    provenance._imports.cache_clear()
    yield tmp_path / "a"
    provenance._imports.cache_clear()


def digest(project, *names):
    """A digest as a new run of the workflow would make it."""
    provenance._imports.cache_clear()
    return code_digest(*(project / name for name in names))


def edit(project, name):
    with (project / name).open("a") as file:
        file.write("# edited\n")


@pytest.mark.parametrize(
    "name",
    [
        "script.py",
        "fake/__init__.py",
        "fake/direct.py",
        "fake/transitive.py",
        "fake/deepest.py",
        "fake/lazy.py",
        "fake/sub/__init__.py",
        "fake/sub/inner.py",
    ],
)
def test_what_is_imported_counts(project, name):
    before = digest(project, "script.py")
    edit(project, name)
    assert digest(project, "script.py") != before


@pytest.mark.parametrize(
    "name",
    ["other_script.py", "fake/unrelated.py", "fake/sub/unrelated.py", "fake/plugins/one.py", "templates/page.j2"],
)
def test_what_is_not_imported_does_not_count(project, name):
    before = digest(project, "script.py")
    edit(project, name)
    assert digest(project, "script.py") == before


@pytest.mark.parametrize("name", ["fake/plugins/one.py", "fake/helper.py", "templates/page.j2"])
def test_files_given_count_with_what_they_import(project, name):
    def both():
        return digest(project, "script.py", "fake/plugins/one.py", "templates/page.j2")

    before = both()
    assert before != digest(project, "script.py")
    edit(project, "fake/plugins/two.py")
    assert both() == before
    edit(project, name)
    assert both() != before


def test_a_new_import_counts(project):
    before = digest(project, "other_script.py")
    edit(project, "fake/helper.py")
    assert digest(project, "other_script.py") == before
    (project / "fake" / "unrelated.py").write_text("import fake.helper\n")
    imported = digest(project, "other_script.py")
    edit(project, "fake/helper.py")
    assert len({before, imported, digest(project, "other_script.py")}) == 3


@pytest.mark.parametrize(
    ("statement", "counts"),
    [
        ("import fake.sub.inner", True),
        ("import fake.sub.inner as renamed", True),
        ("from fake.sub import inner", True),
        ("from fake.sub.inner import thing", True),
        ("from fake.sub.inner import *", True),
        ("if True:\n    import json, fake.sub.inner", True),
        ("from fake import sub", False),
        ("import fakery.sub.inner", False),
        ("from sub import inner", False),
        ("'import fake.sub.inner'", False),
    ],
)
def test_every_way_to_import(project, statement, counts):
    (project / "script.py").write_text(statement + "\n")
    before = digest(project, "script.py")
    edit(project, "fake/sub/inner.py")
    assert (digest(project, "script.py") != before) == counts


@pytest.mark.parametrize(
    "statement", ["import fake.sub.inner", "from fake.sub import inner", "from fake.sub.inner import thing"]
)
@pytest.mark.parametrize("package", ["fake", "fake/sub"])
def test_packages_on_the_way_to_a_module_count(project, statement, package):
    (project / "script.py").write_text(statement + "\n")
    before = digest(project, "script.py")
    edit(project, f"{package}/__init__.py")
    assert digest(project, "script.py") != before


def test_the_place_of_the_project_and_the_order_of_files_do_not_count(project, monkeypatch):
    before = digest(project, "script.py", "templates/page.j2")
    assert digest(project, "templates/page.j2", "script.py") == before
    moved = Path(shutil.copytree(project, project.parent / "b"))
    monkeypatch.setattr(provenance, "_ROOT", moved / "fake")
    shutil.rmtree(project)
    assert digest(moved, "script.py", "templates/page.j2") == before


def test_it_is_short_and_the_same_each_time(project):
    assert len(digest(project, "script.py")) == 16
    assert digest(project, "script.py") == digest(project, "script.py")
    assert digest(project, "script.py") != digest(project, "other_script.py")


def test_two_files_that_swap_their_text_count(project):
    (project / "script.py").write_text("import fake.helper, fake.lazy\n")
    (project / "fake/helper.py").write_text("one = 1\n")
    before = digest(project, "script.py")
    (project / "fake/helper.py").write_text("")
    (project / "fake/lazy.py").write_text("one = 1\n")
    assert digest(project, "script.py") != before


class TestThisPackage:
    """The module as it is used, on the package itself."""

    @pytest.fixture(autouse=True)
    def root(self):
        return Path(provenance.__file__).parent

    def reached(self, *files):
        found, waiting = set(), [Path(file).resolve() for file in files]
        while waiting:
            file = waiting.pop()
            if file not in found:
                found.add(file)
                waiting.extend(provenance._imports(file))
        return {file.name for file in found}

    def test_scoring_depends_on_attention_and_not_on_figures(self, root):
        reached = self.reached(root.parent / "scripts" / "score_heads.py")
        assert {"score_heads.py", "_scoring.py", "decoding.py", "errors.py", "__init__.py"} <= reached
        assert not {"rendering.py", "effects.py", "head_sets.py", "style.py"} & reached

    def test_ranking_does_not_depend_on_the_model(self, root):
        reached = self.reached(root.parent / "scripts" / "rank_heads.py")
        assert "rankings.py" in reached
        assert not {"loading.py", "_scoring.py", "decoding.py", "prompts.py"} & reached
