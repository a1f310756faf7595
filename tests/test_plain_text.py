"""Text that commands what shows it is shown as text: in messages, by commands, and in Markdown."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hostile_text import ATTACKS, COMMANDS
from retrieval_heads import cli
from retrieval_heads.errors import StudyError
from retrieval_heads.findings.markdown import escaped, paragraph
from retrieval_heads.plain_text import commanding, printable, printable_lines
from retrieval_heads.verification import verifying
from retrieval_heads.verification.check import Problem
from retrieval_heads.verification.verifying import CHECKS, Outcome, Verification

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LINES = st.text("#-+=>1.)*_~`&;$[]()<x:!|\\ ", min_size=1, max_size=12).map(str.strip).filter(len)


@given(st.text())
def test_a_message_is_one_printable_line(text):
    assert printable(text).isprintable()
    assert all(line.isprintable() for line in printable_lines(text).split("\n"))
    assert str(StudyError(text)).isprintable()


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_what_is_printable_stays_as_it_is(text):
    assert printable(text) == printable_lines(text) == text and commanding(text) is None


@pytest.mark.parametrize("sign", [*"\x00\x07\x08\x0b\x0c\x1b\x7f\x85\x9b", *"\u2028\u202a\u202e\u2066\u2069"])
def test_signs_that_command_what_shows_them_are_found(sign):
    assert commanding(f"some{sign}thing") == sign


@pytest.mark.parametrize(
    "text", ["two\nlines", "a\ttab", "ما\u200cبعد", "10\u00a0km", "soft\u00adhyphen", "👩\u200d🔬"]
)
def test_signs_of_writing_are_none_of_these(text):
    assert commanding(text) is None


@settings(max_examples=300)
@given(LINES | st.sampled_from([attack.strip() for attack in ATTACKS.values()]))
def test_markdown_reads_a_paragraph_of_it_and_nothing_else(text):
    before, inline, after = READER.parse(paragraph(escaped(text)))
    assert (before.type, after.type) == ("paragraph_open", "paragraph_close")
    assert {piece.type for piece in inline.children} <= {"text", "text_special"}
    assert "".join(piece.content for piece in inline.children) == text


@pytest.mark.parametrize("begins", ["# ", "## x", "1. x", "12) x", "- x", "---", "- - -", "+", "> x", "    x"])
def test_what_begins_a_paragraph_makes_it_nothing_else(begins):
    assert READER.parse(paragraph(escaped(begins)))[0].type == "paragraph_open"


def test_what_verifying_finds_commands_no_terminal(monkeypatch, tmp_path, capsys):
    problem = Problem(COMMANDS, f"has {COMMANDS} in it", COMMANDS)
    outcomes = (Outcome(CHECKS[0], 1, (problem,), COMMANDS),)
    found = Verification("tiny", "a digest", outcomes, datetime.now(UTC), 0.1, COMMANDS)
    monkeypatch.setattr(verifying, "verify", lambda folder: found)
    assert cli.main(["verify", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert printable(COMMANDS) in said.out
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
