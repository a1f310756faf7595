"""Tables of documents that are wrong, each by its file's name and content and by keys of the config."""

from typing import Any

from bad_input_case import Case

HEADER = "text,place,staff,told,other,set\n"
ROWS = [
    "It lies in Ohio and employs 120 people.,Ohio,120,employs 120 people,300,train\n",
    "It lies in Utah and employs 450 people.,Utah,450,employs 450 people,310,test\n",
    "It lies in Iowa and employs 780 people.,Iowa,780,employs 780 people,320,train\n",
]
QUESTIONS = {"place": {"text": "Where?", "type": "state"}, "staff": {"text": "How many?", "type": "count"}}
COLUMNS: dict[str, Any] = {"passages": {"staff": "told"}, "twins": {"staff": "other"}, "split": "set"}


def _case(kind: str, content: str | bytes, fix: str, names: str = "table.csv", **keys: Any) -> Case:
    return Case(kind, (names.partition(":")[0] if "table" in names else "table.csv", content, keys), f"{names}:", fix)


def _cell(kind: str, before: str, after: str, fix: str) -> Case:
    """A case of one cell, or of one line, of a table that is right."""
    whole = HEADER + "".join(ROWS)
    assert before in whole, before
    return _case(kind, whole.replace(before, after, 1), fix)


_ALL = HEADER + "".join(ROWS)
_LINES = '{"text": "It lies in Ohio.", "place": "Ohio", "staff": null}'

TABLES = [
    _case("a table of no known format", _ALL, "save it as one of these", "table.xlsx"),
    _case("an empty table", "", "write one for each|has no column|no rows", "table.csv"),
    _case("a table of a header alone", HEADER, "write one for each document"),
    _case("a table in another encoding", _ALL.replace("Ohio", "Öhio").encode("latin-1"), "save it as such"),
    _case("a table in UTF-16", _ALL.encode("utf-16"), "save it as such"),
    _case("a table with a sign that is none", _ALL.replace("Utah", "Ut\0ah"), ""),
    _case("a table with semicolons", _ALL.replace(",", ";"), "it has", "documents.answers.place|documents.text"),
    _case("two columns of one name", _ALL.replace("told", "text"), "rename one"),
    _case("a row with a field too many", _ALL + "a,b,c,d,e,f,g\n", "in quotes"),
    _case("a row with a field too few", _ALL + "It lies in Maine,Maine\n", "in quotes"),
    _case("a quote without its end", _ALL + '"It lies in Maine,Maine\n', ""),
    _case("a Parquet file that is none", b"PAR1", "write it anew", "table.parquet"),
    _case("a Parquet file that is empty", b"", "write it anew", "table.parquet"),
    _case("a line that is no JSON", _LINES + "\n{", "one object on each line", "table.jsonl"),
    _case("a line that is a list", _LINES + "\n[]", "one object on each line", "table.jsonl"),
    _case("a line with a key twice", '{"text": "a", "text": "b"}', "keep one", "table.jsonl: line 1"),
    _case("a line with half a character", '{"text": "\\ud800"}', "one object on each line", "table.jsonl"),
    _case("a line nested without end", "[" * 10**5, "one object on each line", "table.jsonl"),
    _case("a cell that is a list", '{"text": ["a"], "place": "Ohio", "staff": 1}', "write text", "table.jsonl"),
    _case("a cell that is yes", '{"text": true, "place": "Ohio", "staff": 1}', "write text", "table.jsonl"),
    _case("no column of texts", _ALL, "it has text", "documents.text", text="body"),
    _case("no column of names", _ALL, "it has text", "documents.id", id="name"),
    _case("no column of answers", _ALL, "it has text", "documents.answers.place", answers={"place": "where"}),
    _case("no column of passages", _ALL, "it has text", "documents.passages.staff", passages={"staff": "gone"}),
    _case("no column of twins", _ALL, "it has text", "documents.twins.staff", twins={"staff": "gone"}),
    _case("no column of splits", _ALL, "it has text", "documents.split", split="gone"),
    _case("a name that is there twice", _ALL, "rename or remove one", id="set"),
    _cell("a row without a text", "It lies in Ohio and employs 120 people.", "", "fill it or remove the row"),
    _cell("a text that is there twice", ROWS[1], ROWS[1] + ROWS[1], "remove one of them"),
    _cell("an answer of another type", ",120,", ",many,", "give exactly one"),
    _cell("an answer of several values", ",Ohio,", ",Ohio and Utah,", "give exactly one"),
    _cell("a passage that the text has not", "employs 120 people,3", "counts 120 people,3", "copy it from there"),
    _cell("a passage that the text has twice", ",employs 120 people,3", ",employs,3", "correct one|more of it"),
    _cell("a passage of another answer", ",employs 120 people,3", ",It lies,3", "correct one"),
    _cell("a passage without an answer", ",120,", ",,", "give both or none"),
    _cell("a twin that is the answer", ",300,", ",120,", "give another value"),
    _cell("a twin of another type", ",300,", ",few,", "give exactly one"),
    _cell("a split that is none", ",train\n", ",dev\n", "write train or test"),
    _cell("a row without a split", ",train\n", ",\n", "fill it or remove the row"),
    _cell("a split without documents", ",test\n", ",train\n", "at least one for each"),
]
