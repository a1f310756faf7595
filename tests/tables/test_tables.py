import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_heads import making, tables
from retrieval_heads.digests import short_digest
from retrieval_heads.errors import StudyError
from retrieval_heads.tables.documents import documents_table
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.rankings import RANKINGS

TABLE = tables.Table(
    "samples",
    (
        ("name", pa.string()),
        ("part", pa.int32()),
        ("draw", pa.int32()),
        ("value", pa.float64()),
        ("spread", pa.float64()),
        ("ids", pa.list_(pa.int32())),
        ("right", pa.bool_()),
    ),
    key=("name", "part", "draw"),
    nullable=frozenset({"draw", "spread", "ids"}),
)
LISTS = tables.Table(
    "lists",
    (("name", pa.string()), ("rows", pa.int32()), ("columns", pa.int32()), ("values", pa.list_(pa.float32()))),
    key=("name",),
    lengths={"values": ("rows", "columns")},
)
GOOD = pd.DataFrame(
    {
        "name": ["a", "b"],
        "part": [1, 2],
        "draw": [0, None],
        "value": [0.5, -1.0],
        "spread": [0.1, None],
        "ids": [[1, 2], None],
        "right": [True, False],
    }
)
EVERY = [*tables.all_tables().values(), documents_table(["q"])]

int32 = st.integers(-(2**31), 2**31 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
rows = st.lists(
    st.tuples(
        text,
        int32,
        st.none() | int32,
        finite,
        st.none() | finite,
        st.none() | st.lists(int32, max_size=3),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda row: row[:3],
)


def listed(frame):
    """The rows of a frame as plain values, None for what is empty."""

    def plain(value):
        if isinstance(value, list | np.ndarray):
            return [int(item) for item in value]
        return None if pd.isna(value) else value

    return [tuple(plain(value) for value in row) for row in frame.itertuples(index=False, name=None)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def stream(path, table):
    """All that a stream gives, as one frame."""
    return pd.concat(list(tables.Stream([path], table)), ignore_index=True)


READERS = [tables.read, stream]


@given(rows)
@settings(max_examples=60)
def test_what_is_written_is_read(folder, values):
    frame = pd.DataFrame(values, columns=TABLE.columns)
    tables.write(frame, folder / "t.parquet", TABLE)
    assert listed(tables.read(folder / "t.parquet", TABLE)) == values


def test_columns_are_put_in_order_and_others_dropped(tmp_path):
    frame = GOOD[GOOD.columns[::-1]].assign(note="more")
    tables.write(frame, tmp_path / "t.parquet", TABLE)
    assert pq.read_schema(tmp_path / "t.parquet").names == TABLE.columns
    assert list(tables.read(tmp_path / "t.parquet", TABLE).columns) == TABLE.columns


@pytest.mark.parametrize("draws", [[0, None], [0.0, math.nan], [None, None], pd.array([3, None], dtype="Int64")])
def test_whole_numbers_stay_whole(tmp_path, draws):
    tables.write(GOOD.assign(draw=draws), tmp_path / "t.parquet", TABLE)
    read = tables.read(tmp_path / "t.parquet", TABLE)
    assert read["draw"].dtype == "Int32" and read["part"].dtype == "int32"
    expected = [None if pd.isna(draw) else int(draw) for draw in draws]
    assert [None if pd.isna(draw) else draw for draw in read["draw"]] == expected
    assert "." not in "".join(str(draw) for draw in read["draw"])


def test_an_empty_table_keeps_its_types(tmp_path):
    tables.write(pd.DataFrame(columns=TABLE.columns), tmp_path / "t.parquet", TABLE)
    read = tables.read(tmp_path / "t.parquet", TABLE)
    assert read.empty and read["draw"].dtype == "Int32" and read["value"].dtype == "float64"


def test_a_number_in_a_list_is_told_by_its_place(tmp_path):
    frame = pd.DataFrame({"name": ["a", "b"], "rows": [1, 2], "columns": [2, 3], "values": [[0.0, 1.0], [0.0] * 6]})
    frame.loc[1, "values"][4] = math.inf
    with pytest.raises(StudyError, match=r"not finite, first for name = b, row = 1, column = 1\.$"):
        tables.write(frame, tmp_path / "lists.parquet", LISTS)
    assert list(tmp_path.iterdir()) == []


BAD = [  # what is changed, and what the message says of it
    pytest.param({"draw": [0.5, 1]}, r"samples table does not fit its schema.*column draw", id="a fraction as integer"),
    pytest.param({"part": ["one", "two"]}, r"does not fit its schema.*column part", id="words as integers"),
    pytest.param({"part": [2**40, 1]}, r"does not fit its schema.*column part", id="an integer of more than 32 bits"),
    pytest.param({"part": [2**70, 1]}, r"does not fit its schema", id="an integer of more than 64 bits"),
    pytest.param({"name": [1, 2]}, r"does not fit its schema.*column name", id="integers as text"),
    pytest.param({"name": ["a", 2]}, r"does not fit its schema.*column name", id="an integer among text"),
    pytest.param({"value": ["x", "y"]}, r"does not fit its schema.*column value", id="words as numbers"),
    pytest.param({"right": ["t", "f"]}, r"does not fit its schema.*column right", id="words as truth"),
    pytest.param({"ids": ["x", "y"]}, r"does not fit its schema.*column ids", id="text as lists"),
    pytest.param({"ids": [1, 2]}, r"does not fit its schema.*column ids", id="integers as lists"),
    pytest.param({"ids": [[2**40], []]}, r"does not fit its schema.*column ids", id="a list of too large integers"),
    pytest.param({"ids": [[1, None], []]}, r"ids.* 1 empty values in its lists", id="a list with a null"),
    pytest.param({"name": ["a", None]}, r"name.* 1 (empty|null) value", id="text that is null"),
    pytest.param({"part": [None, None]}, r"part.* 2 (empty|null) value", id="integers that are null"),
    pytest.param({"right": [None, True]}, r"right.* 1 (empty|null) value", id="truth that is null"),
    pytest.param({"value": [0.5, math.nan]}, r"value.* 1 (empty|null) value", id="NaN where null is not allowed"),
    pytest.param(
        {"value": [0.5, math.inf]}, "column value .* not finite, first for name = b, part = 2, draw = ", id="infinity"
    ),
    pytest.param(
        {"spread": [-math.inf, None]}, "column spread of the samples table.*not finite", id="nullable infinity"
    ),
    pytest.param(
        {"name": "a", "part": 1, "draw": 0},
        "samples table has two rows for name = a, part = 1, draw = 0",
        id="a key twice",
    ),
    pytest.param({"name": "a", "part": 1, "draw": None}, "has two rows for name = a, part = 1", id="a null key twice"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_what_does_not_fit_is_not_written(tmp_path, change, message):
    with pytest.raises(StudyError, match=rf"t\.parquet: .*{message}"):
        tables.write(GOOD.assign(**change), tmp_path / "t.parquet", TABLE)
    assert list(tmp_path.iterdir()) == []


def test_missing_columns_are_named_on_writing_and_reading(tmp_path):
    fewer = GOOD.drop(columns=["part", "right"])
    with pytest.raises(StudyError, match=r"t\.parquet: the samples table lacks the columns part, right\."):
        tables.write(fewer, tmp_path / "t.parquet", TABLE)
    pq.write_table(pa.Table.from_pandas(fewer), tmp_path / "t.parquet")
    for read in READERS:
        with pytest.raises(StudyError, match=r"t\.parquet: .* earlier version and lacks the columns part, right;"):
            read(tmp_path / "t.parquet", TABLE)


OUTDATED = [  # where a file is, and which folder is to be deleted
    ("results/s/tables/samples.parquet", "results/s"),
    ("results/s/samples/m/plain/512/1-of-1.parquet", "results/s"),
    ("results/s/samples.parquet", "results/s"),
    ("elsewhere/tables/s/samples/m/512.parquet", "elsewhere/tables/s"),
    ("samples/samples/m/512.parquet", "samples"),
]


@pytest.mark.parametrize(("file", "study"), OUTDATED)
@pytest.mark.parametrize("change", [{}, {"part": ["one", "two"]}], ids=["a column less", "another type"])
def test_a_table_of_an_earlier_version_names_its_studys_folder(tmp_path, monkeypatch, file, study, change):
    monkeypatch.chdir(tmp_path)
    Path(file).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pandas(GOOD.assign(**change) if change else GOOD.drop(columns="part")), file)
    for read in READERS:
        with pytest.raises(StudyError, match=rf"^{file}: [^;]*earlier version[^;]*; delete {study} and run again\.$"):
            read(file, TABLE)


FOREIGN = [  # a column of a file that somebody else wrote
    ("part", pa.array(["x", "y"]), "does not fit its schema"),
    ("part", pa.array([1.5, 2.0]), "does not fit its schema"),
    ("part", pa.array([[1], [2]]), "does not fit its schema"),
    ("ids", pa.array(["x", "y"]), "does not fit its schema"),
    ("right", pa.array([1, 2], pa.timestamp("s")), "does not fit its schema"),
    ("name", pa.array(["a", None]), "name"),
    ("value", pa.array([1.0, None]), "value"),
    ("value", pa.array([1.0, math.nan]), "column value .* not finite"),
    ("spread", pa.array([1.0, math.nan]), "column spread .* not finite"),
]


@pytest.mark.parametrize(("column", "values", "message"), FOREIGN, ids=lambda value: str(getattr(value, "type", value)))
def test_a_file_that_does_not_fit_is_refused(tmp_path, column, values, message):
    data = pa.Table.from_pandas(GOOD, preserve_index=False)
    pq.write_table(data.set_column(data.column_names.index(column), column, values), tmp_path / "t.parquet")
    for read in READERS:
        with pytest.raises(StudyError, match=rf"t\.parquet: .*{message}"):
            read(tmp_path / "t.parquet", TABLE)


def test_a_file_with_a_key_twice_is_refused(tmp_path):
    # In row groups of their own, so that no group has one twice.
    pq.write_table(pa.Table.from_pandas(pd.concat([GOOD, GOOD])), tmp_path / "t.parquet", row_group_size=2)
    for read in READERS:
        with pytest.raises(StudyError, match=r"t\.parquet: the samples table has two rows for name = a, part = 1"):
            read(tmp_path / "t.parquet", TABLE)


def test_lists_have_the_length_that_their_row_says(tmp_path):
    frame = pd.DataFrame({"name": ["a", "b"], "rows": [1, 2], "columns": 2, "values": [[1, 2], [1, 2, 3, 4]]})
    tables.write(frame, tmp_path / "t.parquet", LISTS)
    assert [list(values) for values in tables.read(tmp_path / "t.parquet", LISTS)["values"]] == [[1, 2], [1, 2, 3, 4]]
    with pytest.raises(StudyError, match=r"column values of the lists table .* another length than rows × columns"):
        tables.write(frame.assign(rows=2), tmp_path / "t.parquet", LISTS)
    pq.write_table(pa.Table.from_pandas(frame.assign(rows=2)), tmp_path / "t.parquet")
    for read in READERS:
        with pytest.raises(StudyError, match="another length than rows × columns"):
            read(tmp_path / "t.parquet", LISTS)


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: b"no table", lambda data: data[: len(data) // 2], lambda data: data[:-5]],
    ids=["empty", "something else", "cut in half", "cut at the end"],
)
def test_a_corrupt_file_is_named(tmp_path, damage):
    path = tmp_path / "t.parquet"
    tables.write(GOOD, path, TABLE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StudyError, match=r"t\.parquet: not a readable Parquet file"):
        tables.read(path, TABLE)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"gone/t\.parquet: no such file"):
        tables.read(tmp_path / "gone" / "t.parquet", TABLE)


class TestWholeOrNotAtAll:
    def test_success_leaves_the_file_alone_and_makes_its_folder(self, tmp_path):
        tables.write(GOOD, tmp_path / "new" / "t.parquet", TABLE)
        tables.write(GOOD[:1], tmp_path / "new" / "t.parquet", TABLE)
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["t.parquet"]
        assert len(tables.read(tmp_path / "new" / "t.parquet", TABLE)) == 1

    def test_a_refused_table_leaves_the_former_one(self, tmp_path):
        tables.write(GOOD, tmp_path / "t.parquet", TABLE)
        with pytest.raises(StudyError):
            tables.write(GOOD.assign(value=math.inf), tmp_path / "t.parquet", TABLE)
        assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
        assert listed(tables.read(tmp_path / "t.parquet", TABLE)) == listed(GOOD)

    @pytest.mark.parametrize("former", [True, False])
    def test_an_interrupted_write_leaves_what_was_there(self, tmp_path, monkeypatch, former):
        path = tmp_path / "t.parquet"
        if former:
            tables.write(GOOD, path, TABLE)

        def interrupted(data, where, **options):
            where.write_bytes(b"PAR1 and no more")
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(tables.pq, "write_table", interrupted)
            with pytest.raises(KeyboardInterrupt):
                tables.write(GOOD[:1], path, TABLE)
        assert path.exists() == former
        if former:
            assert listed(tables.read(path, TABLE)) == listed(GOOD)
        tables.write(GOOD[:1], path, TABLE)  # resumes over what was left
        assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]
        assert len(tables.read(path, TABLE)) == 1


def test_parts_are_put_one_below_the_other(tmp_path):
    for part in (2, 1):
        tables.write(GOOD[:1].assign(part=part), tmp_path / f"{part}.parquet", TABLE)
    whole = tables.read_parts([tmp_path / "2.parquet", tmp_path / "1.parquet"], TABLE)
    assert whole["part"].tolist() == [2, 1] and whole.index.tolist() == [0, 1]
    assert whole["draw"].dtype == "Int32"
    assert list(tables.read_parts([], TABLE).columns) == TABLE.columns


def test_some_columns_can_be_read_alone(tmp_path):
    tables.write(GOOD, tmp_path / "t.parquet", TABLE)
    some = tables.read(tmp_path / "t.parquet", TABLE, ["spread", "draw"])
    pd.testing.assert_frame_equal(some, tables.read(tmp_path / "t.parquet", TABLE)[["spread", "draw"]])


class TestStream:
    @pytest.fixture
    def paths(self, tmp_path, monkeypatch):
        """Two files of rows of 4 kB each, of which a row group holds ten."""
        monkeypatch.setattr(tables, "_ROW_GROUP_BYTES", 41_000)
        for part in range(2):
            rows = {"name": [f"{part}-{row:03d}" for row in range(95)], "rows": 32, "columns": 32}
            frame = pd.DataFrame({**rows, "values": list(np.random.default_rng(part).random((95, 1024), np.float32))})
            tables.write(frame, tmp_path / f"{part}.parquet", LISTS, {"models": {"m": CPU}})
        return [tmp_path / "0.parquet", tmp_path / "1.parquet"]

    def test_it_gives_what_is_read_in_the_order_of_rows_and_again(self, paths):
        stream, read = tables.Stream(paths, LISTS), tables.read_parts(paths, LISTS)
        for _ in range(2):
            pd.testing.assert_frame_equal(pd.concat(list(stream), ignore_index=True), read)

    def test_it_holds_a_row_group_at_a_time(self, paths):
        before, groups = pa.total_allocated_bytes(), 0
        for part in tables.Stream(paths, LISTS):
            groups += 1
            assert len(part) <= 10
            # A file holds 0.4 MB; two groups are there while one takes the place of the other.
            assert pa.total_allocated_bytes() - before < 200_000
        assert groups == 20

    def test_parts_of_one_model_in_two_dtypes_are_refused(self, paths):
        tables.write(tables.read(paths[1], LISTS), paths[1], LISTS, {"models": {"m": HALF}})
        with pytest.raises(StudyError, match="m ran in float32 for the one and in bfloat16 for the other"):
            next(iter(tables.Stream(paths, LISTS)))

    def test_without_files_it_gives_nothing(self):
        assert list(tables.Stream([], LISTS)) == []

    def test_parts_that_share_a_folder_are_one_stream(self):
        paths = ["a/512/1-of-2.parquet", "a/1024/1-of-1.parquet", "a/512/2-of-2.parquet"]
        streams = tables.streams_by_folder(paths, LISTS)
        assert [list(stream.paths) for stream in streams] == [[paths[0], paths[2]], [paths[1]]]


CPU, GPU, HALF = (
    {"dtype": dtype, "device": device}
    for dtype, device in (("float32", "cpu"), ("float32", "cuda"), ("bfloat16", "cuda"))
)


def write_parts(folder, *told):
    """Parts of a table, each with what it tells of how it was made."""
    paths = [folder / f"{part}.parquet" for part in range(len(told))]
    for part, (path, one) in enumerate(zip(paths, told, strict=True)):
        tables.write(GOOD[:1].assign(part=part), path, TABLE, one)
    return paths


def of_models(**models):
    return {"models": models}


@pytest.mark.parametrize(
    "told",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10**5, b'{"seed": "1"}', b'{"models": ["a"]}', b'{"models": {"a": 1}}',
     b'{"models": {"a": {"dtype": 32}}}', b'{"code": "x"}', b'{"code": {"rule": null}}', b'{"made": "by hand"}'],
)  # fmt: skip
def test_what_a_table_tells_of_how_it_was_made_may_be_damaged(tmp_path, told):
    (path,) = write_parts(tmp_path, of_models(a=CPU))
    whole = pq.read_table(path)
    (key,) = [key for key in whole.schema.metadata if b"made_with" in key]
    pq.write_table(whole.replace_schema_metadata({key: told}), path)
    sentence = rf"^{re.escape(str(path))}: what it tells of how it was made is damaged; delete it and run again\.$"
    for read in (tables.made_with, lambda paths: tables.read_parts(paths, TABLE)):
        with pytest.raises(StudyError, match=sentence):
            read([path])


@pytest.mark.parametrize(
    ("parts", "together"),
    [
        ([{}, {}], {}),
        ([of_models(a=CPU), of_models(a=CPU)], of_models(a=CPU)),
        ([of_models(a=HALF), of_models(b=CPU), {}], of_models(a=HALF, b=CPU)),
        ([of_models(a=CPU), of_models(a=GPU)], of_models(a={"dtype": "float32", "device": "cpu, cuda"})),
        ([of_models(a=CPU | {"device": "cpu, cuda"}), of_models(a=CPU)], of_models(a=CPU | {"device": "cpu, cuda"})),
        (
            [of_models(a={"threads": "16", "torch": "2.12.0"}), of_models(a={"threads": "2", "torch": "2.13.0"})],
            of_models(a={"threads": "2, 16", "torch": "2.12.0, 2.13.0"}),
        ),
        # What one does not tell is known by the other alone.
        ([of_models(a={"content": "c"}), of_models(a=CPU)], of_models(a=CPU | {"content": "c"})),
        (
            [
                {"rule": "one", "config": "p", "seed": 0, "code": {"first": "a", "one": "b"}},
                {"rule": "other", "config": "q", "code": {"first": "c", "other": "d"}},
            ],
            {"seed": 0, "code": {"first": "a, c", "one": "b", "other": "d"}},
        ),
    ],
)
def test_tables_tell_together_what_they_were_made_with(tmp_path, parts, together):
    paths = write_parts(tmp_path, *parts)
    assert tables.made_with(paths) == together
    assert len(tables.read_parts(paths, TABLE)) == len(parts)
    again = (tmp_path / "again").joinpath
    tables.write(GOOD, again("all.parquet"), TABLE, tables.made_with(paths))
    assert tables.made_with([again("all.parquet")]) == together
    tables.write(GOOD, again("reversed.parquet"), TABLE, tables.made_with(paths[::-1]))
    assert again("reversed.parquet").read_bytes() == again("all.parquet").read_bytes()


def test_a_table_by_itself_tells_its_rule_and_what_that_depends_on(tmp_path):
    told = {"rule": "rank_heads", "config": "p", "seed": 3, "code": {"rank_heads": "a"}, **of_models(a=CPU)}
    assert tables.made_with(write_parts(tmp_path, told)) == told


def test_tables_of_one_model_in_two_dtypes_are_refused_together(tmp_path):
    one, other, right = write_parts(tmp_path, of_models(a=CPU, b=HALF), of_models(b=HALF, a=HALF), of_models(a=CPU))
    message = (
        rf"^{one} and {other}: a ran in float32 for the one and in bfloat16 for the other, .*models\.a\.dtype: float32"
    )
    for together in (tables.made_with, lambda paths: tables.read_parts(paths, TABLE)):
        with pytest.raises(StudyError, match=message):
            together([one, right, other])
    with pytest.raises(StudyError, match=rf"^this job and {one}: a ran in bfloat16 for the one and in float32"):
        tables.made_with([one], here=of_models(a=HALF))
    assert tables.made_with([one], here=of_models(a=GPU))["models"]["a"] == CPU | {"device": "cpu, cuda"}


@pytest.mark.parametrize("fact", ["content", "commit", "quantization"])
def test_tables_of_models_that_differ_are_refused_together(tmp_path, fact):
    one, other = write_parts(tmp_path, of_models(a={fact: "x"}), of_models(a={fact: "y"}))
    message = rf"^{one} and {other}: the {fact} of a was x for the one and y for the other, .* delete the older one"
    with pytest.raises(StudyError, match=message):
        tables.made_with([one, other])


def test_tables_of_two_seeds_are_refused_together(tmp_path):
    one, other = write_parts(tmp_path, {"seed": 1}, {"seed": 2})
    with pytest.raises(StudyError, match=rf"^{one} and {other}: made with seed 1 and seed 2, "):
        tables.made_with([one, other])


def test_tables_of_the_analysis_go_together(tmp_path):
    paths = [tmp_path / f"{name}.parquet" for name in ("rankings", "guard")]
    for path, table, run in zip(paths, (RANKINGS, GUARD), (CPU, HALF), strict=True):
        tables.write(table.empty(), path, table, of_models(a=run))
    with pytest.raises(StudyError, match=r"rankings\.parquet and .*guard\.parquet: a ran in float32"):
        tables.read_tables(paths)
    assert set(tables.read_tables(paths[:1])) == {"rankings"}


@pytest.fixture
def job_at_work(tmp_path):
    """A job that reads a table of the study and one of somebody else, and asks a model."""
    study = tmp_path / "results" / "tiny"
    told = {"rule": "build_prompts", "code": {"build_prompts": "a"}, "config": "p", "seed": 1}
    tables.write(GOOD, study / "prompts.parquet", TABLE, told | of_models(m={"content": "c", "numpy": "2.0"}))
    tables.write(GOOD, tmp_path / "theirs.parquet", TABLE, {"seed": 7})
    return SimpleNamespace(
        rule="score_heads",
        params={"code": "b", "content": "c", "versions": {"numpy": "2.1"}, "levels": [1, 2]},
        input=[str(study / "prompts.parquet"), str(tmp_path / "theirs.parquet"), str(tmp_path / "model")],
        wildcards=SimpleNamespace(model="m"),
        config={"results": str(tmp_path / "results"), "study": "tiny"},
    )


class TestAJobAtWork:
    def written(self, job, path, **runs):
        with making.by(job):
            making.model_runs(**runs)
            tables.write(GOOD, path, TABLE)
        return tables.made_with([path])

    def test_its_tables_tell_what_it_is_and_what_it_was_given(self, job_at_work, tmp_path):
        told = self.written(job_at_work, tmp_path / "scores.parquet", numpy="2.1", dtype="float32", commit=None)
        assert told == {
            "rule": "score_heads",
            "code": {"build_prompts": "a", "score_heads": "b"},
            "config": short_digest({"levels": [1, 2]}),
            "seed": 1,
            "models": {"m": {"content": "c", "dtype": "float32", "numpy": "2.0, 2.1"}},
        }

    def test_tables_written_outside_of_it_tell_nothing(self, job_at_work, tmp_path):
        self.written(job_at_work, tmp_path / "inside.parquet", dtype="float32")
        tables.write(GOOD, tmp_path / "outside.parquet", TABLE)
        assert tables.made_with([tmp_path / "outside.parquet"]) == {}

    def test_what_the_last_job_said_of_its_model_is_forgotten(self, job_at_work, tmp_path):
        self.written(job_at_work, tmp_path / "one.parquet", dtype="bfloat16")
        assert "dtype" not in self.written(job_at_work, tmp_path / "two.parquet")["models"]["m"]

    def test_its_seed_stands_in_its_parameters_or_in_their_config(self, job_at_work, tmp_path):
        job_at_work.input = []
        for number, params in enumerate(({"seed": 5}, {"config": {"seed": 5, "study": "x"}}, {"config": {}})):
            job_at_work.params = {"code": "b", **params}
            told = self.written(job_at_work, tmp_path / f"{number}.parquet")
            assert told.get("seed") == (None if params == {"config": {}} else 5)

    def test_it_is_refused_a_table_that_another_model_made(self, job_at_work, tmp_path):
        job_at_work.params["content"] = "d"
        with pytest.raises(StudyError, match=r"this job and .*prompts\.parquet: the content of m was d .* and c "):
            self.written(job_at_work, tmp_path / "scores.parquet")
        assert not (tmp_path / "scores.parquet").exists()


def rows_without(table, names):
    """Two rows of any table, of which the second lacks these columns."""
    made = {pa.string(): "x", pa.float64(): 0.5, pa.bool_(): True, pa.int32(): 7}
    row = {name: made.get(type_, []) for name, type_ in table.fields}
    row |= {name: [0.5] * 7 ** len(factors) for name, factors in table.lengths.items()}
    other = {name: value + value if isinstance(value, str) else value for name, value in row.items()}
    keys = [name for name in table.key if name not in names]
    if all(row[name] == other[name] for name in keys):
        other[keys[0]] = 8
    return pd.DataFrame([row, other | dict.fromkeys(names)], columns=table.columns)


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table.name)
def test_whole_numbers_are_whole_in_every_table_however_it_is_read(tmp_path, table):
    nullable = [name for name in table.integers if name in table.nullable]
    both, none = rows_without(table, nullable), rows_without(table, [])
    # Parts with and without empty values, and with nothing else.
    parts = {"both": both, "full": none[:1], "lacking": both[1:]}
    for name, part in parts.items():
        tables.write(part, tmp_path / name, table)
    frames = [
        *(tables.read(tmp_path / name, table) for name in parts),
        *(pd.read_parquet(tmp_path / name) for name in parts),
        tables.read_parts([tmp_path / name for name in parts], table),
        tables.read_parts([], table),
    ]
    for frame in frames:
        assert {name: str(frame[name].dtype) for name in table.integers} == {
            name: "Int32" if name in nullable else "int32" for name in table.integers
        }


def test_a_key_twice_is_told_in_whole_numbers(tmp_path):
    twice = pd.DataFrame([GOOD.iloc[0], GOOD.iloc[0], GOOD.iloc[1]])
    with pytest.raises(StudyError, match=r"two rows for name = a, part = 1, draw = 0\."):
        tables.write(twice, tmp_path / "t.parquet", TABLE)


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table.name)
def test_keys_and_nullable_columns_are_columns(table):
    assert {*table.key, *table.nullable} <= set(table.columns)
    assert len(set(table.columns)) == len(table.columns)
    assert [field.name for field in table.schema() if field.nullable] == [
        c for c in table.columns if c in table.nullable
    ]


def test_a_documents_table_has_three_nullable_columns_a_question():
    table = documents_table(["hq", "year"])
    of_question = ["hq", "hq_start", "hq_twin", "year", "year_start", "year_twin"]
    assert table.columns == ["doc_id", "split", "text", *of_question, "source"]
    assert table.nullable == set(of_question)
