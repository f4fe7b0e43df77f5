"""Tables: what is read, and a message for each way in which a table can be unfit."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import edgewise as ew
from edgewise._table import Table, read, split

ROWS = 40


def table(path: Path, **columns: list[object]) -> Path:
    """Write columns as text; a short list is repeated."""
    lines = [",".join(columns)]
    lines += [
        ",".join(str(values[row % len(values)]) for values in columns.values())
        for row in range(ROWS)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rising(start: float = 0.0) -> list[object]:
    return [start + row / 8 for row in range(ROWS)]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return table(tmp_path / "good.csv", a=rising(), b=[1, 2, 3], y=rising(5))


# reading


def test_columns_come_as_float64_in_the_order_of_the_file(good: Path) -> None:
    x, y = read(good).select("y")
    assert x.dtype == y.dtype == torch.float64
    assert x.shape == (ROWS, 2)
    assert y.shape == (ROWS, 1)
    assert torch.equal(x[:, 0], torch.tensor(rising()).double())
    assert torch.equal(y[:, 0], torch.tensor(rising(5)).double())
    assert read(good).inputs("y") == ("a", "b")


def test_inputs_come_in_the_order_that_was_asked_for(good: Path) -> None:
    x, _ = read(good).select("a", ["y", "b"])
    assert torch.equal(x[:, 1], torch.tensor([1.0, 2, 3] * 13 + [1]).double())
    assert torch.equal(read(good).take(["y", "b"]), x)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.TSV", "t.tsv.gz", "t.txt", "t.csv"])
def test_delimited_text_is_read(name: str, good: Path, tmp_path: Path) -> None:
    delimiter = "\t" if "tsv" in name.lower() else ";"
    content = good.read_text().replace(",", delimiter).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    for new, old in zip(read(path).select("y"), read(good).select("y"), strict=True):
        assert torch.equal(new, old)


def test_parquet_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {
        "half": rng.random(ROWS).astype(np.float32),
        "whole": rng.integers(0, 9, ROWS),
        "huge": np.array([2**63 + 1, *range(ROWS - 1)], dtype=np.uint64),
        "flag": rng.random(ROWS) > 0.5,
        "y": rng.random(ROWS),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    x, y = read(tmp_path / "t.parquet").select("y")
    for i, name in enumerate(["half", "whole", "huge", "flag"]):
        assert x[:, i].tolist() == columns[name].astype(np.float64).tolist()
    assert y[:, 0].tolist() == columns["y"].tolist()


def test_a_late_decimal_does_not_spoil_a_column_of_integers(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    lines = ["a,y", *(f"{i},{i % 7}" for i in range(300_000)), "0.5,1"]
    path.write_text("\n".join(lines))
    assert read(path).take(["a"])[-1].item() == 0.5


def test_marks_spaces_and_quotes_are_taken_as_meant(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "\r\n".join(f' {i} ,"{i * i}"' for i in range(ROWS))
    path.write_bytes(("\ufeffa , y\r\n" + rows).encode())
    x, y = read(path).select("y", ["a"])
    assert torch.equal(y, x**2)


# the table as a whole


def fails(path: Path) -> str:
    with pytest.raises(ew.DataError) as error:
        read(path)
    return str(error.value).replace(str(path), "TABLE")


def test_places_without_a_table_are_named(tmp_path: Path) -> None:
    assert fails(tmp_path / "t.csv") == "There is no file TABLE."
    assert fails(tmp_path) == "TABLE is a folder. Give a table in it."
    (tmp_path / "t.xlsx").write_text("a")
    assert "TABLE is of a kind that is not read. Tables are .csv, .tsv" in fails(
        tmp_path / "t.xlsx"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "TABLE is empty."),
        (b" \n\n", "TABLE is empty."),
        (b"a,y\n", "TABLE has no rows, only the names 'a', 'y'."),
        (b"a,y\n1,2\n3\n", "TABLE cannot be read as a table: CSV parse error: Expected 2 columns"),
        ("größe,y\n1,2\n".encode("latin1"), "TABLE is not encoded in UTF-8."),
        (b"a,a,y\n1,2,3\n", "TABLE has 2 columns called 'a'. Give each a name of its own."),
        (b"1,1,2\n1,2,3\n", "The first line holds numbers: a line with the names has to stand"),
    ],
)
def test_text_that_is_no_table_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert message in fails(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet"])
def test_damaged_files_are_refused(name: str, good: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"no such format")
    assert "TABLE cannot be read as a table" in fails(path)
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(good.read_bytes())[:-20])
    else:
        pq.write_table(pa.table({"a": [1.0]}), path)
        path.write_bytes(path.read_bytes()[:-20])
    assert "TABLE cannot be read as a table" in fails(path)


# the columns


def unfit(path: Path, target: str = "y", inputs: list[str] | None = None) -> str:
    with pytest.raises(ew.DataError) as error:
        read(path).select(target, inputs)
    return str(error.value).replace(str(path), "TABLE")


def test_unknown_columns_bring_a_suggestion(good: Path, tmp_path: Path) -> None:
    assert unfit(good, "Y ") == (
        "TABLE has no column 'Y '. Did you mean 'y'? Its columns are 'a', 'b', 'y'."
    )
    assert unfit(good, "y", ["a", "zzz"]).startswith("TABLE has no column 'zzz'. Its columns")
    path = table(tmp_path / "t.csv", sound_pressure_level=rising(), frequency=rising())
    assert "Did you mean 'sound_pressure_level'?" in unfit(path, "SoundPressureLevel")
    with pytest.raises(ew.DataError, match="no column 'c'"):
        read(good).take(["a", "c"])


def test_a_table_without_names_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(f"{i},{i + 0.5}" for i in range(ROWS)))
    assert "The first line holds numbers: a line with the names" in unfit(path)
    assert read(path).select("0.5")[0].shape == (ROWS - 1, 1)  # names that are numbers are allowed


def test_many_columns_are_not_all_listed(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", **{f"c{i}": rising() for i in range(100)})
    assert unfit(path).endswith("'c19' and 80 more.")


def test_the_target_cannot_be_an_input(good: Path) -> None:
    assert unfit(good, "y", ["a", "y"]) == (
        "'y' is the target, so it cannot be an input. Leave it out."
    )
    assert unfit(good, "y", ["a", "a"]) == "The input 'a' is named twice. Name it once."


def test_a_lone_target_is_refused(tmp_path: Path) -> None:
    assert unfit(table(tmp_path / "t.csv", y=rising())) == (
        "TABLE has no column beside the target 'y' to learn from."
    )


@pytest.mark.parametrize("mark", ["", "NA", "nan", "NULL"])
def test_missing_values_are_counted(mark: str, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", a=[1, 2, mark, 4], b=rising(), y=rising())
    assert unfit(path) == (
        "Column 'a' of TABLE has 10 missing values in 40 rows, the first in row 3. "
        "Fill them in, or drop these rows."
    )
    read(path).select("y", ["b"])  # what is not asked for does not matter
    with pytest.raises(ew.DataError, match=r"Column 'a' .* has 10 missing values"):
        read(path).take(["b", "a"])


def test_missing_values_in_several_columns_are_told_at_once(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", a=[*rising()[:-1], ""], b=["nan"], y=rising())
    assert unfit(path) == (
        "Column 'a' of TABLE has 1 missing value in 40 rows, the first in row 40. "
        "There are some in 'b' too. Fill them in, or drop these rows."
    )


def test_missing_values_in_parquet_are_found(tmp_path: Path) -> None:
    values = [None if i == 7 else float(i) for i in range(ROWS)]
    with_nan = [float("nan") if i == 3 else float(i) for i in range(ROWS)]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": values, "b": with_nan, "y": rising()}), path)
    assert "'a' of TABLE has 1 missing value in 40 rows, the first in row 8" in unfit(path)
    assert "'b' of TABLE has 1 missing value in 40 rows, the first in row 4" in unfit(
        path, "y", ["b"]
    )


@pytest.mark.parametrize("value", ["inf", "-inf", "1e999"])
def test_infinite_values_are_found(value: str, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", a=rising(), y=[1.5, 2, value, 4, 5, 6, 7, 8])
    assert unfit(path) == (
        "Column 'y' of TABLE has 5 infinite values in 40 rows, the first in row 3. "
        "Correct them, or drop these rows."
    )


def test_text_is_shown_with_an_example(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", color=["red", "green"], b=rising(), c=rising(), y=rising())
    assert unfit(path) == (
        "Column 'color' of TABLE holds text, such as 'red' in row 1. Write it as numbers. "
        'To leave it out: --inputs "b,c".'
    )
    assert read(path).select("y", ["b"])[0].shape == (ROWS, 1)
    assert unfit(path, "color", ["b"]) == (
        "Column 'color' of TABLE holds text, such as 'red' in row 1. Write it as numbers."
    )
    with pytest.raises(ew.DataError, match=r"'color' .* holds text"):
        read(path).take(["color"])


def test_several_text_columns_are_told_at_once(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", p=["u"], q=["v"], b=rising(), y=rising())
    message = unfit(path)
    assert "Column 'p' of TABLE holds text, such as 'u' in row 1." in message
    assert "The same holds for 'q'." in message
    assert '--inputs "b"' in message


def test_all_that_cannot_be_used_is_left_out_at_once(tmp_path: Path) -> None:
    columns = {"": rising(), "word": ["u"], "flag": [1], "b": rising(), "y": rising()}
    path = table(tmp_path / "t.csv", **columns)
    assert unfit(path).endswith('To leave it out: --inputs "b".')
    assert unfit(path, "y", ["word", "flag", "b"]).endswith('To leave it out: --inputs "b".')
    assert unfit(path, "y", ["flag", "b"]).endswith('To leave it out: --inputs "b".')


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [1, 2, 3, "?"],
            "holds numbers, but also 10 texts: the first is '?' in row 4. If that is to",
        ),
        (["2020-01-01"], "holds values of type date32[day], and not numbers."),
        (["12:30:00"], "holds values of type time32[s], and not numbers."),
    ],
)
def test_what_is_no_number_is_explained(values: list[object], message: str, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", a=values, y=rising())
    assert message in unfit(path)


def test_decimal_commas_are_recognized(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;y\n" + "\n".join(f"{i},5;{i}" for i in range(ROWS)))
    assert "has decimal commas, such as '0,5' in row 1. Write them as points." in unfit(path)


def test_text_in_another_encoding_is_recognized(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(("a,y\n" + "\n".join(f"größe{i},{i}" for i in range(ROWS))).encode("latin1"))
    assert "Column 'a' of TABLE holds text that is not encoded in UTF-8." in unfit(path)


def test_odd_parquet_columns_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {
        "list": pa.array([[1.0]] * ROWS),
        "label": pa.array(["a", "b"] * (ROWS // 2)).dictionary_encode(),
        "quoted": pa.array([str(i) for i in range(ROWS)]),
        "y": pa.array(rising()),
    }
    pq.write_table(pa.table(columns), path)
    assert "'list' of TABLE holds values of type list<" in unfit(path, "y", ["list"])
    assert "'label' of TABLE holds" in unfit(path, "y", ["label"])
    assert "'quoted' of TABLE holds numbers as text" in unfit(path, "y", ["quoted"])


def test_constant_columns_are_named(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", a=rising(), b=[3], c=[0.1], y=rising(), z=[2])
    assert unfit(path, "y", ["a", "b", "c"]) == (
        "Column 'b' of TABLE is 3 in every row, so it tells nothing. The same holds for 'c'. "
        'To leave it out: --inputs "a".'
    )
    assert unfit(path, "z", ["a"]) == (
        "Column 'z' of TABLE is 2 in every row: there is nothing to learn about it."
    )
    assert read(path).take(["b"]).shape == (ROWS, 1)  # to predict from constants is fine


def test_too_few_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "\n".join(f"{i},{i}" for i in range(29)))
    assert unfit(path) == "TABLE has 29 rows. With 1 input at least 30 are needed."
    wide = table(tmp_path / "w.csv", **{f"c{i}": rising() for i in range(10)}, y=rising())
    assert unfit(wide) == "TABLE has 40 rows. With 10 inputs at least 50 are needed."


def test_nameless_columns_are_not_taken_for_inputs(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", **{"": rising(), "a": rising(), "y": rising()})
    assert unfit(path) == (
        "Column 1 of TABLE has no name; it may be row numbers. Give it a name. "
        'To leave it out: --inputs "a".'
    )
    assert read(path).select("y", ["a"])[0].shape == (ROWS, 1)


def test_names_with_commas_and_many_names_are_not_listed_for_the_command(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "\n".join(f"{i},{i},{i},x" for i in range(ROWS))
    path.write_text('"a,b",c,y,word\n' + rows)
    assert unfit(path).endswith("To leave it out, name the inputs that you want with --inputs.")


# holding rows out


def test_the_split_is_disjoint_complete_and_repeatable() -> None:
    kept, held_out = split(103, seed=5)
    assert len(held_out) == 21
    assert sorted([*kept.tolist(), *held_out.tolist()]) == list(range(103))
    again = split(103, seed=5)
    assert torch.equal(kept, again[0])
    assert torch.equal(held_out, again[1])
    assert not torch.equal(held_out, split(103, seed=6)[1])


def test_the_split_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    split(50)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_table_counts_its_rows(good: Path) -> None:
    assert len(read(good)) == ROWS
    assert len(Table(good, (), {}, {})) == 0
