"""Read a table of measurements, and say what is wrong with it before any work is done."""

from __future__ import annotations

import difflib
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise._errors import DataError, require

_DELIMITED = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_PARQUET = (".parquet", ".pq")
_NAMELESS = ("", "__index_level_0__")  # what pandas writes for an index


@dataclass(frozen=True)
class Table:
    """Columns by name; `read` makes one. Rows are counted from 1, without the line of names.

    Attributes:
        path: Where it came from.
        names: All columns, in the order of the file.
        numbers: The columns of numbers; a missing value is NaN.
        others: The columns that hold something else, as pyarrow arrays.
    """

    path: Path
    names: tuple[str, ...]
    numbers: Mapping[str, np.ndarray]
    others: Mapping[str, Any]

    def inputs(self, target: str, inputs: Sequence[str] | None = None) -> tuple[str, ...]:
        """Check the names of a target and of its inputs: by default, all other columns."""
        _check_known(self, [target, *(inputs or ())])
        chosen = [name for name in self.names if name != target] if inputs is None else list(inputs)
        if not chosen:
            raise DataError(
                f"{self.path} has no column beside the target {target!r} to learn from."
            )
        if target in chosen:
            raise DataError(f"{target!r} is the target, so it cannot be an input. Leave it out.")
        for name in chosen:
            if chosen.count(name) > 1:
                raise DataError(f"The input {name!r} is named twice. Name it once.")
            if inputs is None and name in _NAMELESS:
                raise DataError(
                    f"Column {self.names.index(name) + 1} of {self.path} has no name; it may be "
                    f"row numbers. Give it a name.{_leave_out(self, chosen)}"
                )
        return tuple(chosen)

    def select(
        self, target: str, inputs: Sequence[str] | None = None
    ) -> tuple[Float[Tensor, "rows inputs"], Float[Tensor, "rows 1"]]:
        """Take the inputs and the target to fit.

        Raises:
            DataError: If a column is not there, or not fit to be fitted; the message names it.
        """
        chosen = self.inputs(target, inputs)
        x, y = self._matrix(chosen, [*chosen, target]).split([len(chosen), 1], 1)
        _check_rows(self, len(chosen))
        _check_varies(self, chosen, target)
        return x.contiguous(), y.contiguous()

    def take(self, inputs: Sequence[str]) -> Float[Tensor, "rows inputs"]:
        """Take the inputs alone, to predict from them.

        Raises:
            DataError: If a column is not there, or has values that are no numbers.
        """
        _check_known(self, inputs)
        return self._matrix((), list(inputs))

    def _matrix(self, optional: Sequence[str], names: list[str]) -> Tensor:
        _check_numbers(self, names, optional)
        _check_complete(self, names)
        return torch.from_numpy(np.column_stack([self.numbers[name] for name in names]))

    def __len__(self) -> int:
        """The number of rows."""
        columns = [*self.numbers.values(), *self.others.values()]
        return len(columns[0]) if columns else 0


def read(path: str | Path) -> Table:
    """Read a table from CSV (also gzipped), TSV or Parquet.

    The delimiter of a text file (comma, semicolon, tab) is taken from its first line.

    Raises:
        DataError: If there is no such file, it is no table, or its columns have no distinct names.
        MissingExtraError: If pyarrow is not installed.
    """
    path = Path(path)
    require("pyarrow", "cli")
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    if path.is_dir():
        raise DataError(f"{path} is a folder. Give a table in it.")
    content = _arrow(path)
    names = tuple(content.column_names)
    _check_distinct(path, names)
    if not content.num_rows:
        raise DataError(f"{path} has no rows, only the names {_list(names)}.")
    numbers, others = {}, {}
    for name, column in zip(names, content.columns, strict=True):
        if (array := _to_numbers(column)) is not None:
            numbers[name] = array
        else:
            others[name] = column
    return Table(path, names, numbers, others)


def split(
    rows: int, *, share: float = 0.2, seed: int = 0
) -> tuple[Int[Tensor, " kept"], Int[Tensor, " held_out"]]:
    """Draw rows to hold out, the same for the same seed: (kept, held out), each in order."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    count = max(1, round(share * rows))
    return order[count:].sort().values, order[:count].sort().values


# reading


def _arrow(path: Path) -> Any:
    name = path.name.lower()
    if not name.endswith((*_DELIMITED, *_PARQUET)):
        raise DataError(
            f"{path} is of a kind that is not read. "
            f"Tables are {', '.join((*_DELIMITED, *_PARQUET))}: export it as one of these."
        )
    import pyarrow

    try:
        content = _parquet(path) if name.endswith(_PARQUET) else _delimited(path)
        return content.rename_columns([name.strip() for name in content.column_names])
    except (pyarrow.ArrowException, EOFError, gzip.BadGzipFile) as error:
        what = str(error).split("\n")[0].rstrip(".")
        raise DataError(f"{path} cannot be read as a table: {what}.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not encoded in UTF-8. Save it again in that encoding."
        ) from error


def _parquet(path: Path) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path).read()


def _delimited(path: Path) -> Any:
    import pyarrow
    import pyarrow.csv

    content = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        content = gzip.decompress(content)
    if not content.strip():
        raise DataError(f"{path} is empty.")
    first = content.lstrip().split(b"\n", 1)[0]
    delimiter = max((b",", b";", b"\t"), key=first.count).decode()
    # types are inferred from the first block: let that be the whole file
    block = min(len(content) + 1, 2**31 - 1)
    return pyarrow.csv.read_csv(
        pyarrow.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(block_size=block),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
    )


def _to_numbers(column: Any) -> np.ndarray | None:
    """A column as float64, or None where it holds anything but numbers."""
    import pyarrow.types as kind

    tests = (kind.is_integer, kind.is_floating, kind.is_boolean, kind.is_decimal, kind.is_null)
    if not any(test(column.type) for test in tests):
        return None
    return np.array(column.cast("float64", safe=False).to_numpy(), dtype=np.float64)


# checks


def _check_distinct(path: Path, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{path} has {names.count(name)} columns called {name!r}. "
                f"Give each a name of its own.{_headless(names)}"
            )


def _check_known(table: Table, wanted: Sequence[str]) -> None:
    for name in wanted:
        if name in table.names:
            continue
        by_case = {known.lower(): known for known in table.names}
        close = difflib.get_close_matches(name.lower(), by_case, n=1)
        hint = f" Did you mean {by_case[close[0]]!r}?" if close else ""
        raise DataError(
            f"{table.path} has no column {name!r}.{hint} "
            f"Its columns are {_list(table.names)}.{_headless(table.names)}"
        )


def _check_numbers(table: Table, names: Sequence[str], optional: Sequence[str]) -> None:
    bad = [name for name in names if name in table.others]
    if not bad:
        return
    what = f"Column {bad[0]!r} of {table.path} {_nature(table.others[bad[0]])}"
    more = f" The same holds for {_list(bad[1:])}." if len(bad) > 1 else ""
    raise DataError(what + more + (_leave_out(table, optional) if set(bad) & set(optional) else ""))


def _nature(column: Any) -> str:
    """What a column holds that is no column of numbers, and what to do."""
    import pyarrow.types as kind

    if kind.is_binary(column.type):
        return "holds text that is not encoded in UTF-8."
    if not (kind.is_string(column.type) or kind.is_large_string(column.type)):
        return f"holds values of type {column.type}, and not numbers. Write it as numbers."
    values = column.to_pylist()
    words = [(row, v) for row, v in enumerate(values, 1) if v is not None and not _is_number(v)]
    if not words:
        return "holds numbers as text. Write them without quotes."
    row, example = words[0]
    if re.fullmatch(r"\s*[-+]?\d+,\d+\s*", example):
        return f"has decimal commas, such as {example!r} in row {row}. Write them as points."
    if len(words) > len(values) // 2:
        return f"holds text, such as {example!r} in row {row}. Write it as numbers."
    return (
        f"holds numbers, but also {_count(len(words), 'text')}: the first is {example!r} in row "
        f"{row}. If that is to say that a value is missing, fill it in or drop the row."
    )


def _check_complete(table: Table, names: Sequence[str]) -> None:
    for test, what, do in (
        (np.isnan, "missing value", "Fill them in, or drop these rows"),
        (np.isinf, "infinite value", "Correct them, or drop these rows"),
    ):
        bad = {name: test(table.numbers[name]) for name in names if test(table.numbers[name]).any()}
        if not bad:
            continue
        name, where = next(iter(bad.items()))
        more = f" There are some in {_list(list(bad)[1:])} too." if len(bad) > 1 else ""
        raise DataError(
            f"Column {name!r} of {table.path} has {_count(int(where.sum()), what)} in {len(table)} "
            f"rows, the first in row {int(where.argmax()) + 1}.{more} {do}."
        )


def _check_rows(table: Table, inputs: int) -> None:
    needed = max(30, 5 * inputs)
    if len(table) < needed:
        raise DataError(
            f"{table.path} has {_count(len(table), 'row')}. "
            f"With {_count(inputs, 'input')} at least {needed} are needed."
        )


def _check_varies(table: Table, inputs: Sequence[str], target: str) -> None:
    bad = [name for name in [target, *inputs] if _is_constant(table, name)]
    if not bad:
        return
    value = float(table.numbers[bad[0]][0])
    what = f"Column {bad[0]!r} of {table.path} is {value:.6g} in every row"
    if bad[0] == target:
        raise DataError(f"{what}: there is nothing to learn about it.")
    more = f" The same holds for {_list(bad[1:])}." if len(bad) > 1 else ""
    raise DataError(f"{what}, so it tells nothing.{more}{_leave_out(table, inputs)}")


def _is_constant(table: Table, name: str) -> bool:
    values = table.numbers[name]
    return bool((values == values[0]).all())


# words


def _leave_out(table: Table, chosen: Sequence[str]) -> str:
    """How to do without the inputs that cannot be used: all of them, so that one try is enough."""
    named = [name for name in chosen if name in table.numbers and name not in _NAMELESS]
    rest = [name for name in named if not _is_constant(table, name)]
    if not rest or len(rest) > 12 or any("," in name for name in rest):
        return " To leave it out, name the inputs that you want with --inputs."
    return f' To leave it out: --inputs "{",".join(rest)}".'


def _headless(names: Sequence[str]) -> str:
    if all(_is_number(name) for name in names):
        return " The first line holds numbers: a line with the names has to stand before it."
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
