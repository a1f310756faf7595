import ast
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_heads import provenance
from retrieval_heads.provenance import WITHOUT_INFLUENCE, code_digest, code_files

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


def forget():
    """Forget what was read of files, as a new run of the workflow does."""
    provenance._read.cache_clear()
    provenance._imports.cache_clear()
    provenance._meaning.cache_clear()


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / "a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(provenance, "_ROOT", tmp_path / "a" / "fake")
    forget()
    yield tmp_path / "a"
    forget()


def digest(project, *names):
    """A digest as a new run of the workflow would make it."""
    forget()
    return code_digest(*(project / name for name in names))


def edit(project, name):
    with (project / name).open("a") as file:
        file.write("edited = True\n")


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
        ("if TYPE_CHECKING:\n    import fake.sub.inner", False),
        ("if typing.TYPE_CHECKING:\n    from fake.sub.inner import thing", False),
        ("if TYPE_CHECKING:\n    import json\nelse:\n    import fake.sub.inner", True),
        ("if not TYPE_CHECKING:\n    import fake.sub.inner", True),
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


@pytest.mark.parametrize("statement", ["from .inner import thing", "from . import inner", "from ..sub import inner"])
def test_relative_imports_count(project, statement):
    (project / "script.py").write_text("import fake.sub.unrelated\n")
    (project / "fake/sub/unrelated.py").write_text(statement + "\n")
    before = digest(project, "script.py")
    edit(project, "fake/sub/inner.py")
    assert digest(project, "script.py") != before


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


def test_two_packages_that_swap_their_text_count(project):
    (project / "script.py").write_text("import fake.sub.inner\n")
    (project / "fake/__init__.py").write_text("one = 1\n")
    before = digest(project, "script.py")
    (project / "fake/__init__.py").write_text("")
    (project / "fake/sub/__init__.py").write_text("one = 1\n")
    assert digest(project, "script.py") != before


def test_a_module_without_influence_does_not_count_nor_does_what_it_imports(project, monkeypatch):
    before = digest(project, "script.py")
    monkeypatch.setitem(WITHOUT_INFLUENCE, "transitive", "for this test")
    without = digest(project, "script.py")
    assert without != before
    edit(project, "fake/transitive.py")
    edit(project, "fake/deepest.py")
    assert digest(project, "script.py") == without


# --- what code means -------------------------------------------------------------------------------------------------

CODE = '''"""A module."""

import json

SIZES = [1, 2.5, 0x10, 1_000, 1e-3, 3j, True, None, ..., b"x", "it's é", u"u"]
"""Some sizes."""


class Thing:
    """A thing."""

    size: int = 3
    """How large it is."""

    def grown(self, *more: int, by=2, **other) -> float:
        """Larger."""
        if self.size > by and not more:  # a comment
            return self.size + by
        elif other:
            pass
        return f"{self.size!r:>{by}.2f} and {json.dumps(other)}" "joined"


def nothing():
    """Nothing."""


async def most(values, /, *, key=None):
    try:
        async with values as (first, *rest):
            return [x async for x in first if x] or {**key, "a": rest[1:2, ::3]}
    except* (ValueError, OSError) as error:
        raise RuntimeError from error
    finally:
        del values
    match key:
        case {"a": [1, *_], **rest} | Thing(size=-1):
            (yield)
        case _:
            assert (n := lambda x: -x @ 2)
'''


@pytest.fixture
def meaning(tmp_path, monkeypatch):
    """Digests a text as the one file of a script."""
    monkeypatch.setattr(provenance, "_ROOT", tmp_path / "nowhere")

    def meaning(text):
        forget()
        (tmp_path / "script.py").write_text(text, encoding="utf-8")
        return code_digest(tmp_path / "script.py")

    yield meaning
    forget()


def test_the_digest_of_code_is_the_same_under_every_version_of_python(meaning):
    """Made under Python 3.11.7, 3.12.1 and 3.13.0. Only a change of what the digest is of may change it."""
    assert meaning(CODE) == "705c775544c2018a"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1", "# comment\na = 1"),
        ("a = 1", '"""Module."""\na = 1'),
        ("a = 1", 'a = 1\n"""What a is."""'),
        ("", '"""A module of which nothing is left."""'),
        ("def f():\n    pass", 'def f():\n    """Nothing."""'),
        ("def f():\n    pass", "def f():\n    ..."),
        ("class C:\n    pass", 'class C:\n    """A class."""\n    pass'),
        ("a = 'x'", 'a = u"x"'),
        ("a = 1000", "a = (1_000)"),
        ("f(a, b)", "f(\n    a,\n    b,\n)"),
        ("if a: b()", "if a:\n    b()\nelse:\n    pass"),
        ("a = 1", "if TYPE_CHECKING:\n    import json\na = 1"),
        ("a = 'xy'", "a = 'x' 'y'"),
    ],
)
def test_what_means_the_same_has_one_digest(meaning, before, after):
    assert meaning(before) == meaning(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1", "a = 1.0"),
        ("a = 1", "a = True"),
        ("a = 'x'", "a = b'x'"),
        ("a = ''", "a = None"),
        ("a = b + c", "a = b - c"),
        ("a = b", "b = a"),
        ("a = (b, c)", "a = [b, c]"),
        ("def f(a, b=1): pass", "def f(a=1, b=1): pass"),
        ("def f(*, a=1, b): pass", "def f(*, a, b=1): pass"),
        ("{**a, b: c}", "{a: b, **c}"),
        ("f(a)[1:]", "f(a)[:1]"),
        ("def f(): return", "def f(): pass"),
        ("if a: b()\nelse: c()", "if a: c()\nelse: b()"),
        ("a = f'{b}'", "a = f'{b!r}'"),
        ("a: int = 1", "a: float = 1"),
        ("@d\ndef f(): pass", "def f(): pass"),
        ("import a", "import a as b"),
        ("if not TYPE_CHECKING:\n    a()", "if not TYPE_CHECKING:\n    b()"),
    ],
)
def test_what_means_something_else_has_another_digest(meaning, before, after):
    assert meaning(before) != meaning(after)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_comments_docstrings_and_blank_lines_change_nothing(seed):
    assert told(with_remarks(CODE, random.Random(seed))) == told(CODE)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_another_constant_or_operator_changes_it(seed):
    assert told(ast.unparse(ast.parse(CODE))) == told(CODE)
    assert told(with_a_change(CODE, random.Random(seed))) != told(CODE)


def told(text):
    pieces = []
    provenance._tell(ast.parse(text), pieces, [])
    return "".join(pieces)


def with_remarks(text, rng):
    """Code with comments, blank lines and lone strings put in at random, before statements."""
    tree = ast.parse(text)
    starts = {node.lineno: node.col_offset for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    lines = text.splitlines()
    for line, column in sorted(starts.items(), reverse=True):
        if lines[line - 1].lstrip().startswith(("elif", '"""')):
            continue
        remark = rng.choice(["", "# 1 + 1", '"""Some words."""', "b'bytes'", "pass", None])
        if remark is not None:
            lines.insert(line - 1, " " * column + remark if remark else "")
    return "\n".join(lines)


def with_a_change(text, rng):
    """Code with one constant or operator replaced, docstrings apart."""
    tree = ast.parse(text)
    lone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    places = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.BinOp | ast.Compare) and id(node) not in lone
    ]
    node = rng.choice(places)
    if isinstance(node, ast.Constant):
        node.value = "another" if isinstance(node.value, str) else 7.25
    elif isinstance(node, ast.BinOp):
        node.op = ast.FloorDiv()
    else:
        node.ops = [ast.IsNot()]
    return ast.unparse(tree)


class TestThisPackage:
    """The module as it is used, on the package itself."""

    ROOT = Path(provenance.__file__).parent

    def reached(self, script):
        files = code_files(self.ROOT.parent / "scripts" / script)
        return {file.relative_to(self.ROOT.parent).as_posix().removeprefix("retrieval_heads/") for file in files}

    def test_modules_without_influence_are_there(self):
        for name in WITHOUT_INFLUENCE:
            assert self.ROOT.joinpath(*name.split(".")).with_suffix(".py").is_file(), name

    def test_modules_without_influence_import_no_others_that_have_some(self):
        """What a result depends on could else hide behind them. Errors count where they are imported."""
        for name in WITHOUT_INFLUENCE:
            file = self.ROOT.joinpath(*name.split(".")).with_suffix(".py")
            imported = {found.relative_to(self.ROOT).as_posix() for found in code_files(file) - {file}}
            assert {path for path in imported if not path.endswith("__init__.py")} <= {"errors.py"}, name

    def test_scoring_depends_on_attention_and_not_on_figures(self):
        reached = self.reached("score_heads.py")
        assert {"scripts/score_heads.py", "engine/attention.py", "errors.py", "__init__.py"} <= reached
        assert not [name for name in reached if name.startswith(("figures/", "findings/", "analysis/"))]

    def test_ranking_does_not_depend_on_the_model(self):
        reached = self.reached("rank_heads.py")
        assert "analysis/rankings.py" in reached
        assert not [name for name in reached if name.startswith(("model/", "engine/", "methods/", "data/"))]

    @pytest.mark.parametrize("script", ["score_heads.py", "ablate_heads.py", "measure_guard.py"])
    def test_what_takes_hours_does_not_depend_on_logs_figures_or_words(self, script):
        reached = self.reached(script)
        assert not reached & {"job.py", "runs.py", "atomic_write.py", "engine/pace.py", "preflight.py"}
        of_others = ("study/", "analysis/", "exchange/", "figures/", "findings/")
        # What tells rows of a table apart, and in which tokens heads are ablated.
        needed = {"study/__init__.py", "study/dimensions.py", "study/matchings.py", "study/scopes.py"}
        # What takes the place of heads' outputs, and which file a method is.
        needed |= {"study/modes.py", "study/method_entries.py"}
        # How a head is called.
        needed |= {"study/heads.py"}
        assert not [name for name in reached - needed if name.startswith(of_others)]
