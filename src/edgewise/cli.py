"""The command line: it reads arguments, calls the library, and prints."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table as Grid
from torch import Tensor

from edgewise import __version__
from edgewise._errors import ConfigError, DataError, EdgewiseError
from edgewise._io import load, read_notes
from edgewise._network import KAN, Width
from edgewise._report import (
    Interrupted,
    Question,
    Score,
    Settings,
    ask,
    run,
    write,
    write_discovery,
)
from edgewise._screen import final, watch
from edgewise._table import Table, read

app = typer.Typer(
    help="Fit Kolmogorov-Arnold networks to tables, and read their formulas.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MODEL = "model.safetensors"
_SHOWN = 12  # edges that `show` lists


@app.callback(invoke_without_command=True)
def version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Fit Kolmogorov-Arnold networks to tables, and read their formulas."""
    if version:
        typer.echo(f"edgewise {__version__}")
        raise typer.Exit


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(help="CSV, TSV (also .gz) or Parquet.")],
    target: Annotated[str, typer.Option("--target", "-t", help="The column to predict.")],
    inputs: Annotated[
        str | None,
        typer.Option(help='Columns to predict it from, as "a,b"; by default all others.'),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            help='Nodes of each layer, as "5,8,1"; "(3,2)" stands for 3 sums and 2 products, '
            '"(3,[2,4])" for products of 2 and of 4 factors.'
        ),
    ] = None,
    grid: Annotated[int, typer.Option(help="Spline intervals to begin with.")] = 3,
    degree: Annotated[int, typer.Option(help="Degree of the splines, 1 to 9.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    time: Annotated[
        float, typer.Option(help="About how many seconds fit and formula may take.")
    ] = 60.0,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write to; by default runs/ and the table's name."),
    ] = None,
    progress: Annotated[bool, typer.Option(help="Show progress bars.")] = True,
) -> None:
    """Fit a network to a table, look for its formula, and write a report.

    The table is checked first. A fifth of its rows is kept back, and the report shows the errors on
    them beside a linear model and gradient boosting. Ctrl-C keeps what there is by then.
    """
    with _messages():
        folder = _folder(out, table)
        settings = Settings(
            target=target,
            inputs=_names(inputs),
            widths=_widths(widths),
            grid=grid,
            degree=degree,
            seed=seed,
            time=time,
        )
        result = run(read(table), settings, say=_say, progress=progress)
        files = write(result, folder, _command(table, settings, folder))
        _print(_scores(result.scores, target))
        if result.formula is not None and result.is_explained:
            typer.echo(result.formula)
        else:
            typer.echo(result.verdict)
        typer.echo(f"Written to {folder}: {', '.join(file.name for file in files)}.")


@app.command()
def discover(
    table: Annotated[Path, typer.Argument(help="CSV, TSV (also .gz) or Parquet.")],
    target: Annotated[str, typer.Option("--target", "-t", help="The column to explain.")],
    inputs: Annotated[
        str | None,
        typer.Option(help='Columns to explain it by, as "a,b"; by default all others.'),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(help='The unit of every column, as "x=m,v=m/s,n=1"; by default none.'),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    time: Annotated[float, typer.Option(help="About how many seconds it may take.")] = 60.0,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write to; by default runs/ and the table's name."),
    ] = None,
    progress: Annotated[bool, typer.Option(help="Show the formulas as they are found.")] = True,
) -> None:
    """Look for formulas, from simple and rough to long and exact, and write them down.

    A fifth of the rows is kept back, and the errors that are shown in the end are those on them.
    Ctrl-C keeps what there is by then.
    """
    with _messages():
        folder = _folder(out, table)
        if not time > 0:
            raise ConfigError(f"--time is a budget in seconds and must be positive, got {time:g}.")
        question = Question(target, _names(inputs), _units(units), seed, time)
        content = read(table)
        with watch(progress) as watcher:
            found = ask(content, question, watch=watcher)
        files = write_discovery(found, folder, _discover_command(table, question, folder))
        _print(final(found))
        chosen = found.chosen
        error = f"{chosen.test:.4g}" if np.isfinite(chosen.test) else "without a value"
        typer.echo(f"{target} = {chosen.text}")
        typer.echo(
            f"Its RMSE on {found.rows[1]:,} rows kept back is {error}, where {target} has a "
            f"standard deviation of {found.spread:.4g}."
        )
        typer.echo(f"Written to {folder}: {', '.join(file.name for file in files)}.")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder of a run.")],
    table: Annotated[Path, typer.Argument(help="A table with the columns of the inputs.")],
    out: Annotated[
        Path | None, typer.Option(help="A CSV file to write; by default standard output.")
    ] = None,
) -> None:
    """Predict the target for the rows of a table, as CSV.

    The inputs are written with it, and the target where the table has it.
    """
    with _messages():
        path = _model_file(model)
        network, notes = load(path), read_notes(path)
        inputs, target = _columns(path, notes)
        content = read(table)
        x = content.take(inputs).to(network.dtype)
        with torch.no_grad():
            predicted = network(x)[:, 0].double()
        _say(_outside(network, x))
        columns = {name: content.numbers[name] for name in inputs}
        if target in content.numbers:
            columns[target] = content.numbers[target]
            _say(_error(content, target, predicted))
        columns[f"{target}_predicted"] = predicted.numpy()
        _write_csv(columns, out)


@app.command()
def show(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder of a run.")],
) -> None:
    """Print what a model is: its shape, its errors on test rows, its formula, its edges."""
    with _messages():
        path = _model_file(model)
        network, notes = load(path), read_notes(path)
        typer.echo(network)
        if "inputs" in notes:
            inputs, target = _columns(path, notes)
            typer.echo(f"{target} from {', '.join(inputs)}")
        scores = [Score(**_numbers(score)) for score in json.loads(notes.get("scores", "[]"))]
        if scores:
            _print(_scores(scores, notes.get("target", "y")))
        for note in ("verdict", "formula"):
            if note in notes:
                typer.echo(notes[note])
        edges = json.loads(notes.get("edges", "[]"))
        if edges:
            _print(_edges(edges))


# arguments


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))


def _widths(text: str | None) -> tuple[Width, ...] | None:
    """Read "4,(3,2),1" or "[4, [3, 2], 1]"."""
    if text is None:
        return None
    plain = re.sub(r"\s", "", text).translate(str.maketrans("[]", "()"))
    width = r"(?:\d+|\(\d+,(?:\d+|\(\d+(?:,\d+)*\))\))"
    if not re.fullmatch(rf"{width}(?:,{width})*|\({width}(?:,{width})*\)", plain):
        raise ConfigError(
            f'--widths takes the nodes of each layer, as "5,8,1" or "4,(3,2),1". Got {text!r}.'
        )
    return tuple(
        (int(sums), int(products) if products else [int(n) for n in factors.split(",")])
        if sums
        else int(single)
        for single, sums, products, factors in re.findall(
            r"(\d+)|\((\d+),(?:(\d+)|\(([\d,]+)\))\)", plain
        )
    )


def _units(text: str | None) -> dict[str, str] | None:
    """Read "x=m, v=m/s, n=1"."""
    if text is None:
        return None
    units = {}
    for part in text.split(","):
        name, sign, unit = part.rpartition("=")
        if not sign or not name.strip() or not unit.strip():
            raise ConfigError(
                f'--units takes the unit of every column, as "x=m,v=m/s,n=1". Got {part!r}.'
            )
        units[name.strip()] = unit.strip()
    return units


def _folder(out: Path | None, table: Path) -> Path:
    """Where to write; checked before any work."""
    folder = Path("runs", table.name.split(".")[0] or "table") if out is None else out
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out is the folder to write to, and {folder} is a file.")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"Nothing can be written to {there}. Choose another folder with --out.")
    return folder


def _model_file(path: Path) -> Path:
    return path / _MODEL if path.is_dir() else path


def _columns(path: Path, notes: dict[str, str]) -> tuple[list[str], str]:
    """The names of a model's inputs and of its target."""
    if "inputs" not in notes or "target" not in notes:
        raise DataError(
            f"{path} does not say which columns it takes: it was saved from Python. "
            "Load it there with edgewise.load, or fit the table with `edgewise fit`."
        )
    return json.loads(notes["inputs"]), notes["target"]


def _command(table: Path, settings: Settings, folder: Path) -> list[str]:
    """The command line that repeats a run."""
    words = ["edgewise", "fit", str(table), "--target", settings.target]
    if settings.inputs is not None:
        words += ["--inputs", ",".join(settings.inputs)]
    if settings.widths is not None:
        words += ["--widths", str(list(settings.widths)).replace(" ", "")[1:-1]]
    words += ["--grid", str(settings.grid), "--degree", str(settings.degree)]
    words += ["--seed", str(settings.seed), "--time", f"{settings.time:g}", "--out", str(folder)]
    return words


def _discover_command(table: Path, question: Question, folder: Path) -> list[str]:
    """The command line that repeats a search."""
    words = ["edgewise", "discover", str(table), "--target", question.target]
    if question.inputs is not None:
        words += ["--inputs", ",".join(question.inputs)]
    if question.units is not None:
        words += ["--units", ",".join(f"{name}={unit}" for name, unit in question.units.items())]
    words += ["--seed", str(question.seed), "--time", f"{question.time:g}"]
    return [*words, "--out", str(folder)]


# words


@contextmanager
def _messages() -> Iterator[None]:
    """Turn errors that are the user's to mend into a message and an exit code."""
    try:
        yield
    except (EdgewiseError, OSError) as error:
        typer.echo(f"edgewise: {error}", err=True)
        raise typer.Exit(1) from None
    except Interrupted:
        typer.echo("edgewise: interrupted before there was anything to keep.", err=True)
        raise typer.Exit(130) from None
    except KeyboardInterrupt:
        typer.echo("edgewise: interrupted.", err=True)
        raise typer.Exit(130) from None


def _say(sentence: str) -> None:
    if sentence:
        typer.echo(sentence, err=True)


def _print(grid: Grid) -> None:
    Console(soft_wrap=True, highlight=False, markup=False).print(grid)  # names may hold brackets


def _scores(scores: Sequence[Score], target: str) -> Grid:
    grid = Grid(title=f"Errors on rows kept back, RMSE in the unit of {target}", box=None)
    grid.add_column("method")
    grid.add_column("RMSE", justify="right")
    grid.add_column("R²", justify="right")
    grid.add_column("settings", style="dim")
    for score in scores:
        values = (f"{v:.4g}" if np.isfinite(v) else "no value" for v in (score.rmse, score.r2))
        grid.add_row(score.name, *values, score.detail)
    return grid


def _edges(edges: Sequence[Sequence[float]]) -> Grid:
    ranked = sorted(edges, key=lambda edge: -edge[3])
    more = f" (the strongest {_SHOWN} of {len(edges)})" if len(edges) > _SHOWN else ""
    grid = Grid(title=f"What the edges carry{more}", box=None)
    for name in ("layer", "from", "to", "score"):
        grid.add_column(name, justify="right")
    for *places, score in ranked[:_SHOWN]:
        grid.add_row(*map(str, places), f"{score:.3f}")
    return grid


def _outside(model: KAN, x: Tensor) -> str:
    """Say how many rows lie beyond what was fitted."""
    low, high = model.parts()[0][0].basis.domain.unbind(-1)
    count = int(((x < low) | (x > high)).any(1).sum())
    if not count:
        return ""
    return f"{count} of {len(x)} rows lie outside the range that was fitted: there it is a guess."


def _error(table: Table, target: str, predicted: Tensor) -> str:
    """Say how good predictions are where the table has the target."""
    difference = predicted.numpy() - table.numbers[target]
    known = np.isfinite(difference)
    if not known.any():
        return ""
    rmse = float(np.sqrt(np.square(difference[known]).mean()))
    return f"RMSE {rmse:.4g} over the {int(known.sum())} rows that have {target}."


def _write_csv(columns: Mapping[str, np.ndarray], out: Path | None) -> None:
    """Write columns to a file, or to standard output."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    # what is not there stays empty
    writer.writerows(
        ["" if np.isnan(value) else repr(value) for value in map(float, row)]
        for row in zip(*columns.values(), strict=True)
    )
    if out is None:
        typer.echo(text.getvalue(), nl=False)
    else:
        out.write_text(text.getvalue(), encoding="utf-8")


def _numbers(score: dict[str, Any]) -> dict[str, Any]:
    """Read a score as the model file holds it: JSON has null for no value."""
    return {
        "name": score["name"],
        "detail": score["detail"],
        "rmse": np.inf if score["rmse"] is None else score["rmse"],
        "r2": -np.inf if score["r2"] is None else score["r2"],
    }
