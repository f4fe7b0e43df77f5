"""The verb: find the formula behind a table."""

from __future__ import annotations

import math
import time as clocks
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from edgewise._errors import ConfigError
from edgewise._symbolic._discover._choose import make_front, shown, write
from edgewise._symbolic._discover._front import Front, pareto
from edgewise._symbolic._discover._hybrid import read_networks
from edgewise._symbolic._discover._pool import Clock, Pool, Stop
from edgewise._symbolic._discover._rows import Rows, read
from edgewise._symbolic._discover._search import search
from edgewise._symbolic._discover._tree import Array, Tree, absorbed, from_sympy
from edgewise._symbolic._discover._units import Units, table

_SEARCHED = 1000
"""Rows that are searched on; constants are fitted to all."""
_SEARCH = 0.8
"""The share of a time to keep that is for the search; the rest is for exact numbers."""
_EVERY = 2.0
"""Seconds between two fronts that are shown."""


def discover(
    x: Any,
    y: Any,
    *,
    names: Sequence[str] | None = None,
    units: Units | None = None,
    constants: Mapping[str, float] | None = None,
    time: float = 60,
    seed: int | None = None,
    progress: bool | Callable[[Front], None] = True,
    clock: Callable[[], float] = clocks.perf_counter,
) -> Front:
    r"""Find the formula behind a table: a front of formulas, from plain to exact.

    Nothing has to be trained. Closed forms that least squares gives at once are tried first
    (products of powers, polynomials and rational functions of the inputs, also for
    :math:`1/y, y^2, \log y, ...`). Then the structure is read off the derivatives of a smooth
    surrogate: factors, symmetries, sums and differences inside (Udrescu & Tegmark 2020 read them
    off a network); each takes an input away. What remains is searched with growing libraries of
    small expressions, all sums and products of two of them at once. Constants are fitted to the
    rows together and made exact where they stand for an exact number. The search stops at the
    first formula that is right on all rows to rounding.

    Args:
        x: Inputs, (batch, inputs).
        y: The target, (batch,) or (batch, 1).
        names: What the inputs are called in print; x_1, x_2, ... by default.
        units: The units of each input and of y: a unit for each input and one more for y, or a
            dict by name, in which the name that is no input is y. A unit is a text, such as "m/s"
            or "N m", or its exponents, such as (1, -1) where the dimensions are (m, s). Only laws
            that hold in all units are searched.
        constants: Named numbers that may stand in the formula, such as {"c": 299792458.0}.
        time: The budget, in seconds of `clock`. It ends the search but does not steer it.
        seed: Seed of the rows held out; 0 by default.
        progress: Whether to show a progress bar on standard error; or a function that is given
            the front so far every few seconds.
        clock: What the budget is measured with: the time on the wall, or `time.process_time` for
            CPU seconds.

    Returns:
        The front. Its `best` is the formula to believe if `found`; Ctrl-C gives the front so far.
        Where no law was found, `hybrid` may be a formula in which what no primitive explains stays
        numeric; that takes some seconds more.

    Raises:
        ShapeError: If x and y are not a table and its target.
        DataError: If values are missing or infinite, or there are fewer than 10 rows.
        ConfigError: If names or units do not go with the inputs, or no product of inputs has the
            unit of y.

    Example:
        >>> x = 1 + 4 * torch.rand(200, 3, dtype=torch.float64)
        >>> y = x[:, 0] / (1 + x[:, 1] * x[:, 2])
        >>> front = ew.discover(x, y, progress=False)
        >>> front.exact, front.best.expr
        (True, x_1/(x_2*x_3 + 1))
    """
    begin = clocks.perf_counter()
    x, y = read(x, y)
    d = x.shape[1]
    names = tuple(names) if names is not None else tuple(f"x_{i + 1}" for i in range(d))
    if len(names) != d:
        raise ConfigError(f"x has {d} columns, got {len(names)} names: {list(names)}.")
    if not time > 0:
        raise ConfigError(f"time is a number of seconds above 0, got {time!r}.")
    given = {str(k): float(v) for k, v in (constants or {}).items()}
    dimensions = None if units is None else table(units, names)
    rows = Rows.split(x, y, 0 if seed is None else seed)
    if np.ptp(y) == 0:
        value = float(y[0])
        whole: Tree = ("k", Fraction(value)) if value == round(value) else ("c", value)
        formula = write(whole, rows.unscaled(), names, given)
        return Front((formula,), 0, True, True, 0.0, True, clocks.perf_counter() - begin)
    finished = True
    with ExitStack() as shown:
        shown.enter_context(
            np.errstate(all="ignore")
        )  # candidates need not have a value everywhere
        tick = None
        if callable(progress):
            tick = _Watch(progress, rows, names, given).tick
        elif progress:
            tick = shown.enter_context(_Bar()).tick
        pool = _pool(rows, Clock(time, clock), tick)
        try:
            finished = search(pool, rows.kept, dimensions)
        except KeyboardInterrupt:
            return make_front(pool, rows, names, given, False, begin)
        front = make_front(pool, rows, names, given, finished, begin)
        if front.exact or front.to_digits or len(rows.kept) < d:
            return front
        return _with_networks(front, pool, rows, names, given, begin)


def laws(x: Array, y: Array, *, time: float, seed: int) -> Front:
    """What `discover` finds before it asks networks; it keeps to the time but for a single step."""
    begin, whole = clocks.perf_counter(), Clock(time)
    names = tuple(f"x_{i + 1}" for i in range(x.shape[1]))
    rows = Rows.split(x, y, seed)
    with np.errstate(all="ignore"):
        pool = _pool(rows, Clock(_SEARCH * time))
        finished = search(pool, rows.kept, None)
        return make_front(pool, rows, names, {}, finished, begin, whole)


def _pool(rows: Rows, clock: Clock, tick: Callable[[Pool], None] | None = None) -> Pool:
    few = slice(_SEARCHED)
    lost = None if rows.lost is None else rows.lost.take(few)
    return Pool(rows.x[few], rows.y[few], clock, lost=lost, tick=tick)


class _Bar:
    """The progress bar."""

    def __enter__(self) -> _Bar:
        from tqdm import tqdm

        self._bar = tqdm(desc="discover", unit=" formulas", leave=False, dynamic_ncols=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def tick(self, pool: Pool) -> None:
        """Count a formula."""
        self._bar.update()
        if self._bar.n % 20 == 1 and (best := pool.best) is not None:
            share = math.sqrt(best.loss) / pool.scale
            self._bar.set_postfix_str(f"error {share:.1e} of y", refresh=False)


class _Watch:
    """Shows the front so far every few seconds."""

    def __init__(
        self,
        show: Callable[[Front], None],
        rows: Rows,
        names: tuple[str, ...],
        given: Mapping[str, float],
    ) -> None:
        self._show, self._rows, self._names, self._given = show, rows, names, given
        self._begin = self._last = clocks.perf_counter()

    def tick(self, pool: Pool) -> None:
        """Show the front if it is time to."""
        now = clocks.perf_counter()
        if now - self._last < _EVERY or pool.best is None:
            return
        rows = self._rows.unscaled()
        trees = [absorbed(self._rows.plain(candidate.tree)) for candidate in shown(pool)]
        front = pareto([write(tree, rows, self._names, self._given) for tree in trees])
        best = min(range(len(front)), key=lambda place: front[place].rmse)
        self._show(Front(tuple(front), best, False, False, math.nan, False, now - self._begin))
        self._last = clocks.perf_counter()


def _with_networks(
    front: Front,
    pool: Pool,
    rows: Rows,
    names: tuple[str, ...],
    given: Mapping[str, float],
    begin: float,
) -> Front:
    """Add what small networks say: another formula, or one that is partly numeric."""
    plain = rows.unscaled()
    held = (plain.held_x, plain.held_y)
    limit = front.best.rmse * (1.1 if front.found or front.rivals else 0.5)
    try:
        read = read_networks(plain.x, plain.y, held, names, given, limit)
    except KeyboardInterrupt:
        return replace(front, finished=False)
    pool.clock = Clock(math.inf)
    mixed = None
    for formula in read:
        if formula.numeric:
            mixed = mixed or formula
        elif (tree := from_sympy(formula.expr, formula.symbols)) is not None:
            with suppress(Stop):
                pool.offer(rows.scaled(tree))
    if len(read) > bool(mixed):
        front = make_front(pool, rows, names, given, front.finished, begin)
    explained = front.found or front.rivals or mixed is None or mixed.rmse > 0.5 * front.best.rmse
    return replace(
        front, hybrid=None if explained else mixed, seconds=clocks.perf_counter() - begin
    )
