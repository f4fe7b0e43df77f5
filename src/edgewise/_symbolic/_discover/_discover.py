"""The verb: find the formula behind a table."""

from __future__ import annotations

import math
import time as clocks
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._symbolic._discover._front import Front, pareto
from edgewise._symbolic._discover._hybrid import read_networks
from edgewise._symbolic._discover._noise import is_noise
from edgewise._symbolic._discover._numbers import exact_numbers, simplified
from edgewise._symbolic._discover._pool import NATS, Candidate, Clock, Pool, Stop
from edgewise._symbolic._discover._refine import mean_square, refine, standard_errors
from edgewise._symbolic._discover._rivals import rivals
from edgewise._symbolic._discover._search import search
from edgewise._symbolic._discover._sympy import written
from edgewise._symbolic._discover._tree import (
    Array,
    Tree,
    absorbed,
    constants,
    evaluate,
    from_sympy,
    multiply,
    size,
    substitute,
)
from edgewise._symbolic._discover._units import Units, table
from edgewise._symbolic._evidence import inner_rows
from edgewise._symbolic._formula import Constant, Formula, shorten
from edgewise._symbolic._snap import Exact

_LEAST = 10
_SEARCHED = 1000
"""Rows that are searched on; constants are fitted to all."""
_HELD = 0.2
_SHOWN = 40
"""Candidates that are made exact: with plain numbers, a longer one may become the shorter one."""
_FEW = 1
"""Fitted constants up to which a law in noise is claimed although the search was cut off."""
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
    x, y = _read(x, y)
    d = x.shape[1]
    names = tuple(names) if names is not None else tuple(f"x_{i + 1}" for i in range(d))
    if len(names) != d:
        raise ConfigError(f"x has {d} columns, got {len(names)} names: {list(names)}.")
    if not time > 0:
        raise ConfigError(f"time is a number of seconds above 0, got {time!r}.")
    given = {str(k): float(v) for k, v in (constants or {}).items()}
    dimensions = None if units is None else table(units, names)
    rows = _Rows.split(x, y, 0 if seed is None else seed)
    if np.ptp(y) == 0:
        value = float(y[0])
        whole: Tree = ("k", Fraction(value)) if value == round(value) else ("c", value)
        formula = _formula(whole, rows.unscaled(), names, given)
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
        pool = Pool(rows.x[:_SEARCHED], rows.y[:_SEARCHED], Clock(time, clock), tick=tick)
        try:
            finished = search(pool, rows.kept, dimensions)
        except KeyboardInterrupt:
            return _front(pool, rows, names, given, False, begin)
        front = _front(pool, rows, names, given, finished, begin)
        if front.exact or len(rows.kept) < d:
            return front
        return _with_networks(front, pool, rows, names, given, begin)


@dataclass(frozen=True)
class _Rows:
    """Rows to fit and rows held out, with inputs and target brought to sizes near one.

    Attributes:
        x: Inputs to fit, (batch, inputs), divided by powers of ten.
        y: Their targets.
        held_x: Inputs of the rows held out.
        held_y: Their targets.
        scales: The powers of ten of the inputs.
        scale: That of y.
        kept: The inputs that vary and are not the same as an earlier one.
    """

    x: Array
    y: Array
    held_x: Array
    held_y: Array
    scales: list[int]
    scale: int
    kept: list[int]

    @classmethod
    def split(cls, x: Array, y: Array, seed: int) -> _Rows:
        order = np.random.default_rng(seed).permutation(len(y))
        count = max(2, round(_HELD * len(y)))
        scales = [_power_of_ten(column) for column in x.T]
        scale = _power_of_ten(y)
        kept: list[int] = []
        for i in range(x.shape[1]):
            same = any(np.array_equal(x[:, i], x[:, k]) for k in kept)
            if np.ptp(x[:, i]) > 0 and not same:
                kept.append(i)
        u = x * np.array([10.0**-s for s in scales])
        v = y * 10.0**-scale
        held, fit = order[:count], order[count:]
        return cls(u[fit], v[fit], u[held], v[held], scales, scale, kept)

    def plain(self, tree: Tree) -> Tree:
        """A tree for y in the inputs as they were given."""
        inputs: list[Tree] = [
            multiply(("k", Fraction(10) ** -s), ("x", i)) if s else ("x", i)
            for i, s in enumerate(self.scales)
        ]
        tree = substitute(tree, inputs)
        return multiply(("k", Fraction(10) ** self.scale), tree) if self.scale else tree

    def scaled(self, tree: Tree) -> Tree:
        """A tree for y divided by its power of ten, in inputs that are so, from one for y."""
        inputs: list[Tree] = [
            multiply(("k", Fraction(10) ** s), ("x", i)) if s else ("x", i)
            for i, s in enumerate(self.scales)
        ]
        tree = substitute(tree, inputs)
        return multiply(("k", Fraction(10) ** -self.scale), tree) if self.scale else tree

    def unscaled(self) -> _Rows:
        """The rows as they were given."""
        u, v = 10.0 ** np.array(self.scales), 10.0**self.scale
        return _Rows(self.x * u, self.y * v, self.held_x * u, self.held_y * v, [], 0, self.kept)


def _power_of_ten(values: Array) -> int:
    """The power of ten of a column that is far from one, else zero."""
    middle = float(np.median(np.abs(values[values != 0]))) if np.any(values) else 1.0
    exponent = math.floor(math.log10(middle))
    return exponent if not -3 <= exponent <= 4 else 0


def _read(x: Any, y: Any) -> tuple[Array, Array]:
    arrays = []
    for name, values in (("x", x), ("y", y)):
        if isinstance(values, torch.Tensor):
            values = values.detach().cpu().numpy()
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} is not an array of numbers: {error}.") from error
        arrays.append(array)
    x, y = arrays
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim != 2 or x.shape[1] == 0:
        raise ShapeError(f"x must have the shape (batch, inputs), got {x.shape}.")
    if y.shape != (len(x),):
        raise ShapeError(
            f"y must have the shape ({len(x)},), one target for each row of x, got {y.shape}. For "
            "several targets call discover for each."
        )
    if len(x) < _LEAST:
        raise DataError(f"A search needs at least {_LEAST} rows, got {len(x)}.")
    for name, array in (("x", x), ("y", y)):
        if not np.isfinite(array).all():
            raise DataError(
                f"{name} has {int((~np.isfinite(array)).sum())} missing or infinite values: "
                "remove those rows first."
            )
    return x, y


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
        rows: _Rows,
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
        trees = [absorbed(self._rows.plain(candidate.tree)) for candidate in _shown(pool)]
        front = pareto([_formula(tree, rows, self._names, self._given) for tree in trees])
        best = min(range(len(front)), key=lambda place: front[place].rmse)
        self._show(Front(tuple(front), best, False, False, math.nan, False, now - self._begin))
        self._last = clocks.perf_counter()


def _front(
    pool: Pool,
    rows: _Rows,
    names: tuple[str, ...],
    given: Mapping[str, float],
    finished: bool,
    begin: float,
) -> Front:
    """Make the constants of the best candidates exact, and write them down."""
    plain = rows.plain
    rows = rows.unscaled()
    final = Pool(rows.x, rows.y, Clock(math.inf))
    mean = Candidate(("c", float(np.mean(rows.y))), float(np.var(rows.y)), 1)
    made: dict[str, tuple[float, Candidate]] = {}
    for candidate in [*_shown(pool), mean]:
        tree = candidate.tree if candidate is mean else absorbed(plain(candidate.tree))
        tree = refine(tree, rows.x, rows.y)[0]
        tree = simplified(tree, rows.x, rows.y, final.rounding)
        tree, loss = exact_numbers(tree, rows.x, rows.y, final.rounding, given)
        held = mean_square(tree, rows.held_x, rows.held_y)
        refined = Candidate(tree, max(loss, held / 1.5), size(tree))
        made.setdefault(repr(tree), (final.cost(refined), refined))
    ranked = sorted(made.values(), key=lambda c: c[0])
    best = ranked[0][1]
    printed = {}
    for _, candidate in ranked:
        formula = _formula(candidate.tree, rows, names, given)
        printed.setdefault(str(shorten(formula.expr)), formula)
    formulas = list(printed.values())
    front = pareto(formulas)
    if formulas[0] not in front:
        front = sorted([*front, formulas[0]], key=lambda f: (f.complexity, f.rmse))
    # as a steep tanh for a step: any steeper one is as good, so none is the law
    known = bool(np.isfinite([c.error for c in formulas[0].constants]).all())
    exact = known and best.loss <= 9 * final.rounding and _exact_on_held(best.tree, rows)
    found = exact or (
        known
        and best.size > 1
        and (finished or best.numbers <= _FEW)
        and is_noise(rows.x[:, rows.kept], rows.y - evaluate(best.tree, rows.x), best.numbers)
    )
    noise = 0.0 if exact else math.sqrt(best.loss) if found else math.nan
    others = rivals(ranked, rows.x) if found and not exact else []
    return Front(
        formulas=tuple(front),
        choice=front.index(formulas[0]),
        found=found and not others,
        exact=exact,
        noise=noise,
        finished=finished,
        seconds=clocks.perf_counter() - begin,
        rivals=tuple(_formula(c.tree, rows, names, given) for c in others),
    )


def _with_networks(
    front: Front,
    pool: Pool,
    rows: _Rows,
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
        front = _front(pool, rows, names, given, front.finished, begin)
    explained = front.found or front.rivals or mixed is None or mixed.rmse > 0.5 * front.best.rmse
    return replace(
        front, hybrid=None if explained else mixed, seconds=clocks.perf_counter() - begin
    )


def _shown(pool: Pool) -> list[Candidate]:
    """The candidates of least cost, and the shortest of each error."""
    ranked = pool.ranked()
    hopeful = sorted(ranked, key=lambda c: pool.cost(c) - NATS / 2 * c.numbers)
    shown: dict[tuple[int, str], Candidate] = {}
    for candidate in [ranked[0], *hopeful]:
        shown.setdefault((candidate.size, f"{candidate.loss:.4e}"), candidate)
        if len(shown) == _SHOWN:
            break
    kept, least = list(shown.values()), math.inf
    for length in sorted(pool.kept):
        candidate = pool.kept[length][0]
        if candidate.loss < 0.5 * least:
            least = candidate.loss
            kept.append(candidate)
    return kept if not pool.done else [ranked[0], *kept[_SHOWN:]]


def _exact_on_held(tree: Tree, rows: _Rows) -> bool:
    with np.errstate(all="ignore"):
        r = evaluate(tree, rows.held_x) - rows.held_y
        return bool(np.sqrt(np.mean(r * r)) <= 1e-12 * np.sqrt(np.mean(rows.held_y**2)))


def _formula(
    tree: Tree, rows: _Rows, names: tuple[str, ...], given: Mapping[str, float]
) -> Formula:
    """A tree as a formula in the units of the data, with its errors on the rows held out."""
    errors = standard_errors(tree, rows.x, rows.y) if constants(tree) else np.zeros(0)
    fitted = tuple(
        Constant(None, f"c_{n + 1}", value, float(error))
        for n, (value, error) in enumerate(zip(constants(tree), errors, strict=True))
    )
    r = evaluate(tree, rows.held_x) - rows.held_y
    rmse = float(np.sqrt(np.mean(r * r)))
    x = np.vstack([rows.x, rows.held_x])
    return Formula(
        exprs=(written(tree, len(names), rows.x),),
        rmse=rmse if math.isfinite(rmse) else math.inf,
        network_rmse=math.nan,
        spread=float(rows.held_y.std()),
        constants=fitted,
        numeric=(),
        finished=True,
        names=names,
        extrapolation=_extrapolation(tree, rows),
        given={k: v for k, v in given.items() if k in _named(tree)},
        ranges=tuple(zip(x.min(0).tolist(), x.max(0).tolist(), strict=True)),
    )


def _named(tree: Tree) -> set[str]:
    """The names of the numbers in a tree."""
    if tree[0] == "k":
        return {tree[1].unit} if isinstance(tree[1], Exact) else set()
    return set().union(*(_named(part) for part in tree[1:] if isinstance(part, tuple)))


def _extrapolation(tree: Tree, rows: _Rows) -> float:
    """The error on the outermost rows of a fit to the inner ones."""
    x = np.vstack([rows.x, rows.held_x])
    y = np.append(rows.y, rows.held_y)
    inner = inner_rows(torch.from_numpy(x)).numpy()
    if inner.sum() < 2 * len(constants(tree)) + 2 or inner.all():
        return math.nan
    fitted, _ = refine(tree, x[inner], y[inner], 20)
    r = evaluate(fitted, x[~inner]) - y[~inner]
    return float(np.sqrt(np.mean(r * r)))
