"""Reading the findings for programs, as other programs do."""

from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from retrieval_heads.errors import StudyError
from retrieval_heads.findings.json_schema import FORMAT, schema
from retrieval_heads.reading import read_json

AGAIN = "run the study again, as in make report CONFIG=config/config.yaml"


def read_findings(folder: str | Path) -> dict[str, Any]:
    """What findings.json of a finished study holds.

    Raises
    ------
    StudyError
        when the folder is missing, has no findings for programs, or has some of another version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder; give that of a finished study, such as results/smollm2.")
    file = folder / "findings.json"
    if not file.is_file():
        known = (folder / "findings.html").is_file()
        why = "its findings are of an earlier version; " if known else "it is not that of a finished study; "
        raise StudyError(f"{folder}: has no findings.json, as {why}{AGAIN}.")
    findings = read_json(file, AGAIN)
    form = findings.get("format") if isinstance(findings, dict) else None
    if form != FORMAT:
        raise StudyError(f"{file}: has the format {form}, where this version reads {FORMAT}; {AGAIN}.")
    if (error := best_match(Draft202012Validator(schema()).iter_errors(findings))) is not None:
        raise StudyError(f"{file}: {error.json_path} is not as its schema asks; {AGAIN}.")
    return findings
