"""Whatever is done to the results of a finished study, verifying them names the file, and what to do."""

import json
import re
import shutil

import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from projects import ROOT
from retrieval_heads.cli import main
from retrieval_heads.digests import digest, file_digest
from retrieval_heads.errors import StudyError
from retrieval_heads.manifests import manifest_file, read
from retrieval_heads.verification.files import FILES
from retrieval_heads.verification.forms import FORMS
from retrieval_heads.verification.made import Made
from retrieval_heads.verification.verifying import CHECKS, outcome, schema, verify

PROMPTS = "prompts/planted/plain/512.parquet"
OTHER_PROMPTS = "prompts/planted/plain/640.parquet"
RANKINGS = "tables/rankings.parquet"
EXPORTS = "exports/planted/plain/512"
HEADS = "wu24/inc_state.txt"
GENERATIONS = "generations/planted/plain/512/1-of-1.parquet"
FIGURE, PICTURE = "figures/overlap_summary.svg", "figures/overlap_summary.png"
MANIFEST = "tables/rankings.parquet.manifest.json"


@pytest.fixture
def results(finished, tmp_path):
    """The results of the tiny study alone, without the project."""
    return shutil.copytree(finished.path("results", "tiny"), tmp_path / "somewhere" / "else")


def named(results):
    """File → names of the checks of files, and of single tables, that it fails."""
    config = json.loads((results / "findings.json").read_text())["config"]
    found = {}
    for check in (*FILES, *FORMS):
        for problem in outcome(check, Made(results, config)).problems:
            found.setdefault(problem.file, set()).add(check.name)
    return found


def other_numbers(path):
    """The same columns and keys, with other numbers, as one would write who does not know of manifests."""
    frame = pd.read_parquet(path)
    number = next(name for name in frame if frame[name].dtype == float)
    frame[number] = frame[number].to_numpy()[::-1]
    frame.to_parquet(path)


def swap(results, a, b):
    (results / a).rename(results / "aside")
    (results / b).rename(results / a)
    (results / "aside").rename(results / b)


def seal(results, name, **changes):
    """Change a manifest as one would who knows how they are made."""
    file = manifest_file(results / name)
    values = {**json.loads(file.read_text()), **changes}
    values.pop("seal")
    file.write_text(json.dumps(values | {"seal": digest(values)}))


def with_its_manifest(results, name):
    """Change a table, and have its manifest say so."""
    other_numbers(results / name)
    seal(results, name, sha256=file_digest(results / name), size=(results / name).stat().st_size)


def cut(results, name, share=0.5):
    content = (results / name).read_bytes()
    (results / name).write_bytes(content[: int(len(content) * share)])


def copy_with_manifest(results, source, target):
    for file in (lambda path: path, manifest_file):
        shutil.copy(file(results / source), file(results / target))


class TestWhatIsAsItWasMade:
    def test_passes_every_check_that_applies(self, results):
        found = verify(results)
        assert found.passed, found.summary()
        words = {outcome.check.name: outcome.word for outcome in found.outcomes}
        # The tiny study's model is a local folder, which no job has made.
        assert [name for name, word in words.items() if word != "passed"] == ["prepared models"]
        assert found.summary() == f"tiny: {len(CHECKS)} checks, {len(CHECKS) - 1} passed, 1 not checked."

    def test_all_that_was_made_was_looked_at(self, results):
        outcomes = {outcome.check.name: outcome for outcome in verify(results).outcomes}
        made = [file for file in results.rglob("*.manifest.json")]
        assert outcomes["as made"].looked_at == len(made) > 100
        tables = [file for file in results.rglob("*.parquet")]
        assert outcomes["form"].looked_at == len(tables) > 30

    def test_nothing_is_changed(self, results):
        before = {file: file.stat().st_mtime_ns for file in results.rglob("*")}
        verify(results)
        assert {file: file.stat().st_mtime_ns for file in results.rglob("*")} == before

    def test_its_outcome_has_the_form_that_the_schema_describes(self, results):
        data = verify(results).data()
        Draft202012Validator(schema()).validate(data)
        assert data["outcome"] == "passed" and len({check["name"] for check in data["checks"]}) == len(CHECKS)

    def test_the_same_results_elsewhere_have_the_same_digest(self, results, finished):
        assert verify(results).results == verify(finished.path("results", "tiny")).results


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def change_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


ALTERATIONS = {
    "other numbers": (lambda r: other_numbers(r / RANKINGS), RANKINGS, "as made"),
    "half a table": (lambda r: cut(r, RANKINGS), RANKINGS, "whole"),
    "one other byte": (lambda r: change_last_byte(r / "FINDINGS.md"), "FINDINGS.md", "as made"),
    "deleted table": (lambda r: (r / RANKINGS).unlink(), RANKINGS, "present"),
    "deleted table that nothing reads": (lambda r: (r / GENERATIONS).unlink(), GENERATIONS, "present"),
    "deleted picture": (lambda r: (r / PICTURE).unlink(), PICTURE, "present"),
    "deleted export": (lambda r: shutil.rmtree(r / EXPORTS), EXPORTS, "present"),
    "deleted file of an export": (lambda r: (r / EXPORTS / HEADS).unlink(), EXPORTS, "as made"),
    "altered export": (lambda r: (r / EXPORTS / HEADS).write_text("0-0\n"), EXPORTS, "as made"),
    "truncated picture": (lambda r: cut(r, PICTURE), PICTURE, "whole"),
    "half a figure": (lambda r: cut(r, FIGURE), FIGURE, "whole"),
    "empty findings": (lambda r: (r / "findings.html").write_text(""), "findings.html", "whole"),
    "half a page": (lambda r: cut(r, "pages/head_map.html"), "pages/head_map.html", "whole"),
    "swapped prompts": (lambda r: swap(r, PROMPTS, OTHER_PROMPTS), PROMPTS, "as made"),
    "swapped prompts, the others": (lambda r: swap(r, PROMPTS, OTHER_PROMPTS), OTHER_PROMPTS, "as made"),
    "prompts of another place": (lambda r: shutil.copy(r / OTHER_PROMPTS, r / PROMPTS), PROMPTS, "rows in their place"),
    "the same with their manifest": (lambda r: copy_with_manifest(r, OTHER_PROMPTS, PROMPTS), PROMPTS, "as made"),
    "deleted manifest": (lambda r: manifest_file(r / RANKINGS).unlink(), RANKINGS, "as made"),
    "edited manifest": (lambda r: edit(r / MANIFEST, "collect", "correct"), MANIFEST, "as made"),
    "table with its manifest": (lambda r: with_its_manifest(r, RANKINGS), RANKINGS, "made from each other"),
    "picture of another run": (lambda r: seal(r, PICTURE, params="0" * 64), PICTURE, "made together"),
}
"""What is done → to what, the file that is to be named, and by which check."""


@pytest.mark.thorough
class TestAlterations:
    @pytest.mark.parametrize("name", ALTERATIONS)
    def test_the_file_is_named(self, results, name):
        alter, file, check = ALTERATIONS[name]
        alter(results)
        found = named(results)
        assert check in found[file], found
        if check in ("present", "whole", "as made"):  # and no other, but for what is in it
            others = {other for other, checks in found.items() if checks & {"present", "whole", "as made"}}
            allowed = {PROMPTS, OTHER_PROMPTS} if name.startswith("swapped") else {file}
            assert {other for other in others if not other.startswith(f"{EXPORTS}/")} == allowed

    def test_an_old_table_that_is_put_back_with_its_manifest(self, results):
        """It is whole, at its place and sealed: what tells is that all others were made from another."""
        seal(results, RANKINGS, sha256="0" * 64)  # stands for the present one, from which others were made
        users = [name for name, checks in named(results).items() if "made from each other" in checks]
        assert users == [RANKINGS]
        said = verify(results).summary()
        assert re.search(
            r"tables/rankings\.parquet: is not the one that .* others were made from; delete tables/rank", said
        )

    def test_an_old_table_made_from_others_that_are_gone(self, results):
        """What was made from the present rankings is many, so the one that was not is named."""
        inputs = read(results / "tables/overlap.parquet").inputs
        assert set(inputs) == {RANKINGS}
        for name in ("tables/overlap.parquet", "tables/unions.parquet"):
            seal(results, name, inputs={RANKINGS: "0" * 64})
        assert named(results) == {
            "tables/overlap.parquet": {"made from each other"},
            "tables/unions.parquet": {"made from each other"},
        }

    def test_a_table_that_cannot_be_read_hinders_what_reads_it(self, results):
        cut(results, PROMPTS)
        outcomes = {outcome.check.name: outcome for outcome in verify(results).outcomes}
        assert outcomes["splits"].word == "not checked" and PROMPTS in outcomes["splits"].hindered
        assert outcomes["tie rule"].word == "passed"

    def test_leftovers_of_a_former_config_are_no_fault(self, results):
        shutil.copytree(results / "scores/planted/plain/512", results / "scores/planted/plain/256")
        (results / "tables" / "former.parquet").write_text("whatever")
        assert verify(results).passed

    def test_results_of_another_config_are_told(self, results):
        config = json.loads((results / "findings.json").read_text())["config"]
        found = verify(results, {**config, "seed": 2})
        (problem,) = found.problems
        assert problem.file == "findings.json" and "differs in seed" in problem.wrong


class TestCommand:
    def test_it_says_that_all_is_well(self, results, capsys):
        assert main(["verify", str(results)]) == 0
        assert "checks," in capsys.readouterr().out
        assert json.loads((results / "verification.json").read_text())["outcome"] == "passed"
        assert verify(results).passed, "what it has written is no part of the results"

    def test_it_fails_and_names_what_is_wrong(self, results, tmp_path, capsys):
        (results / "findings.html").write_text("")
        assert main(["verify", str(results), "--to", str(tmp_path / "outcome")]) == 1
        said = capsys.readouterr()
        assert "  findings.html: is empty; delete findings.html and run again.\n" in said.out
        assert said.err.count("\n") == 1 and "has all that is wrong" in said.err
        found = json.loads((tmp_path / "outcome" / "verification.json").read_text())
        Draft202012Validator(schema()).validate(found)
        assert found["outcome"] == "failed" and not (results / "verification.json").exists()

    @pytest.mark.parametrize(
        ("prepare", "sentence"),
        [
            (lambda r: shutil.rmtree(r), r"else: no such folder; give that of a finished study"),
            (
                lambda r: (r / "findings.json").unlink(),
                r"findings\.json: is missing, so nobody can tell what the study",
            ),
            (lambda r: (r / "findings.json").write_text("{"), r"findings\.json: .*run the study again"),
            (
                lambda r: (r / "findings.json").write_text("[]"),
                r"findings\.json: has no config of this version",
            ),
            (lambda r: (r / "findings.json").write_text('{"config": {}}'), r"findings\.json: .*run the study again"),
        ],
        ids=["no folder", "no findings", "no json", "a list", "a config that is none"],
    )
    def test_what_is_no_study_is_refused(self, results, prepare, sentence):
        prepare(results)
        with pytest.raises(StudyError, match=sentence):
            verify(results)


def test_every_check_is_told_of_in_the_documentation():
    page = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert [(check.name, check.about) for check in CHECKS] == [row for row in rows if row[0] not in ("Check", "---")]
