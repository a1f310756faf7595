"""The form of findings.json, for those that write it and those that read it."""

import json
from functools import cache
from pathlib import Path

FORMAT = 1
"""The version of the form. It grows with every change after which a program that reads the file must change too."""


@cache
def schema() -> dict:
    """The JSON schema of findings.json."""
    return json.loads(Path(__file__).with_name("findings.schema.json").read_text(encoding="utf-8"))
