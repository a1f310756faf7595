"""How files are read: every key once, and always as UTF-8."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from retrieval_heads.data.documents._table import read_table
from retrieval_heads.data.documents.generator import load_templates
from retrieval_heads.errors import StudyError
from retrieval_heads.reading import parse_json, read_json, read_yaml

ROOT = Path(__file__).parents[1]
SHOWN = [ROOT / folder for folder in ("workflow", "docs", "benchmarks")]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
contents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


class TestJson:
    @given(contents)
    def test_what_is_sound_is_read_as_always(self, content):
        assert parse_json(json.dumps(content), "here") == content

    @pytest.mark.parametrize(
        "text", ['{"a": 1, "b": 2, "a": 1}', '[{"x": {"a": 1, "a": 2}}]', r'{"a": 1, "\u0061": 2}']
    )
    def test_a_key_that_is_there_twice_is_named(self, text):
        with pytest.raises(StudyError, match=r"^here: a is there twice; keep one of them\.$"):
            parse_json(text, "here")

    @pytest.mark.parametrize("text", ["", "{", "{'a': 1}", 100_000 * "[" + 100_000 * "]"], ids=range(4))
    def test_what_is_none_is_told_with_the_file(self, tmp_path, text):
        file = write(tmp_path / "a.json", text)
        with pytest.raises(StudyError, match=rf"^{re.escape(str(file))}: not valid JSON; do this\.$"):
            read_json(file, "do this")

    def test_another_encoding(self, tmp_path):
        with pytest.raises(StudyError, match="not valid JSON; do this"):
            read_json(write(tmp_path / "a.json", '"é"', "latin-1"), "do this")


class TestYaml:
    @given(contents)
    def test_what_is_sound_is_read_as_always(self, tmp_path_factory, content):
        file = tmp_path_factory.getbasetemp() / "any.yaml"
        write(file, yaml.safe_dump(content))
        assert read_yaml(file, "") == yaml.safe_load(file.read_text(encoding="utf-8"))

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ("a: 1\nb: 2\na: 1\n", "lines 1 and 3"),
            ("- x:\n    a: 1\n    'a': 2\n", "lines 2 and 3"),
            ('x: {a: 1, "a": 2}\n', "line 1"),
            ("x: &x {a: 1, a: 2}\ny: *x\n", "line 1"),
            ("x: &x {b: 1}\ny:\n  <<: *x\n  a: 1\n  a: 2\n", "lines 4 and 5"),
        ],
    )
    def test_a_key_that_is_there_twice_is_named_with_its_lines(self, tmp_path, text, where):
        file = write(tmp_path / "a.yaml", text)
        with pytest.raises(
            StudyError, match=rf"^{re.escape(str(file))}: a is there twice, in {where}; keep one of them"
        ):
            read_yaml(file, "do this")

    @pytest.mark.parametrize(
        "text",
        [
            "x: &x {a: 1}\ny: {<<: *x, a: 2}\n",  # a merged key gives way to one's own
            "x:\n  z: &x {<<: {a: 1}, a: 2}\ny: {<<: *x, b: 2}\n",  # and may be merged again
            "1: a\n'1': b\n",
            "a: {b: 1}\nc: {b: 1}\n",
        ],
    )
    def test_what_only_looks_like_it_is_taken(self, tmp_path, text):
        assert read_yaml(write(tmp_path / "a.yaml", text), "do this") == yaml.safe_load(text)

    @pytest.mark.parametrize("text", ["a: [", "a: !!python/name:os.system x", "a: \x00"])
    def test_what_is_none_is_told_with_the_file(self, tmp_path, text):
        file = write(tmp_path / "a.yaml", text)
        with pytest.raises(StudyError, match=rf"^{re.escape(str(file))}: not valid YAML; do this\.$"):
            read_yaml(file, "do this")

    def test_another_encoding(self, tmp_path):
        with pytest.raises(StudyError, match="not valid YAML; do this"):
            read_yaml(write(tmp_path / "a.yaml", "é", "latin-1"), "do this")

    @pytest.mark.parametrize("file", sorted((ROOT / "resources").rglob("*.yaml")), ids=lambda file: file.stem)
    def test_resources_have_every_key_once(self, file):
        assert read_yaml(file, "")

    def test_templates_of_ones_own_too(self, tmp_path):
        for file in (ROOT / "resources" / "documents").glob("*.yaml"):
            write(tmp_path / file.name, file.read_text(encoding="utf-8"))
        facts = tmp_path / "facts.yaml"
        write(facts, facts.read_text(encoding="utf-8") + "\nhq_state: ['Another {answer}.']\n")
        with pytest.raises(StudyError, match=r"facts\.yaml: hq_state is there twice, in lines \d+ and \d+; keep one"):
            load_templates(tmp_path)


def test_a_row_of_json_lines_has_every_key_once(tmp_path):
    file = write(tmp_path / "mine.jsonl", '{"text": "a"}\n\n{"text": "a", "text": "b"}\n')
    with pytest.raises(StudyError, match=rf"^{re.escape(str(file))}: line 3: text is there twice; keep one of them"):
        read_table(str(file), "documents.file")


# --- encodings -----------------------------------------------------------------------------------------------------


def opened_by_locale(source):
    """Lines on which text is read or written in whatever encoding a machine prefers."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        given = {word.arg: word.value for word in node.keywords}
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        modes = [*node.args, *filter(None, [given.get("mode")])]
        binary = any(
            isinstance(mode, ast.Constant) and re.fullmatch("[rwax+]*b[rwax+]*", str(mode.value)) for mode in modes
        )
        texts = name in ("open", "read_text", "write_text", "FileHandler", "TextIOWrapper", "fdopen") and not binary
        if (texts or {"text", "universal_newlines"} & set(given)) and "encoding" not in given:
            yield node.lineno


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", True),
        ("path.write_text(text, newline='')", True),
        ("open(path, 'w')", True),
        ("path.open(mode='r')", True),
        ("subprocess.run(command, text=True)", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.open('rb')", False),
        ("open(path, mode='wb')", False),
        ("path.read_bytes()", False),
    ],
)
def test_what_depends_on_the_machine_is_noticed(source, found):
    assert bool(list(opened_by_locale(source))) == found


def test_text_is_always_utf_8():
    files = [file for folder in SHOWN for file in folder.rglob("*.py")]
    assert len(files) > 100
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in files
        for line in opened_by_locale(file.read_text(encoding="utf-8"))
    ]
    assert not found


def test_rules_read_no_text():
    for file in (ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")):
        assert not re.search(r"\bopen\(|read_text|write_text", file.read_text(encoding="utf-8")), file
