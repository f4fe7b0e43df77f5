"""What the command shows of a front of formulas: a live table, lines, the table in the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table as Grid

from edgewise._report import Discovery, line


@contextmanager
def watch(progress: bool) -> Iterator[bool | Callable[[Any], None]]:
    """Show a front as it grows, on standard error: a live table, or lines where there is none."""
    console = Console(stderr=True, highlight=False, markup=False)
    if not progress:
        yield False
    elif console.is_terminal:
        with Live(console=console, transient=True, auto_refresh=False) as live:
            begin = perf_counter()
            yield lambda front: live.update(_growing(front, perf_counter() - begin), refresh=True)
    else:
        shown: set[str] = set()
        yield lambda front: _say_new(front, shown, console)


def _growing(front: Any, seconds: float) -> Grid:
    """The front so far."""
    grid = Grid(title=f"Formulas after {seconds:.0f} s", box=None)
    grid.add_column("parts", justify="right")
    grid.add_column("RMSE", justify="right")
    grid.add_column("formula", no_wrap=True, overflow="ellipsis")
    for formula in sorted(front, key=lambda formula: formula.complexity):
        grid.add_row(str(formula.complexity), f"{formula.rmse:.3g}", line(formula))
    return grid


def _say_new(front: Any, shown: set[str], console: Console) -> None:
    """Say which formulas are new to the front."""
    for formula in sorted(front, key=lambda formula: formula.complexity):
        text = line(formula)
        if text not in shown:
            shown.add(text)
            console.print(
                f"  {formula.complexity:3d} parts, RMSE {formula.rmse:.3g}: {text}", soft_wrap=True
            )


def final(found: Discovery) -> Grid:
    """The front as it is in the end, with the one that was chosen marked."""
    grid = Grid(title=f"Formulas for {found.question.target}, RMSE on rows kept back", box=None)
    grid.add_column("")
    grid.add_column("parts", justify="right")
    grid.add_column("RMSE", justify="right")
    grid.add_column("formula")
    for answer in found.answers:
        error = f"{answer.test:.4g}" if math.isfinite(answer.test) else "no value"
        mark = "→" if answer is found.chosen else ""
        grid.add_row(mark, str(answer.complexity), error, answer.text)
    return grid
