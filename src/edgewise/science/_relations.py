"""The verb: find what ties the columns of a table together, with no target named."""

from __future__ import annotations

import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._symbolic._formula import shorten
from edgewise.science._contrast import (
    Contrast,
    log_features,
    pair_features,
    product_features,
    spline_features,
)
from edgewise.science._derivatives import points
from edgewise.science._formulas import explicit, functions, implicit, solved, verified
from edgewise.science._polynomials import polynomial_equation, polynomial_of
from edgewise.science._regress import Regression

_GRIDS = (3, 6, 12)
_FEWEST = 50  # rows
_ROWS = 3  # for each feature
_EXACT = 1e-10
"""A ratio that is as good as zero: variables may be left out up to it."""
_HELD = 5
"""One of so many rows is held out to verify formulas on."""
_WORSE = 3.0
"""How much larger the error of a formula may be on rows held out."""
_ROUNDING = 1e-9
"""An error that is no more than rounding, as a share of the spread."""
_SOLVE = 0.6
"""The share of the time that is left for each of the ways to a formula."""
_QUICK = 1.0
"""Seconds for the law of each variable to begin with: most are found at once, or not at all."""
_AS_GOOD = 10.0
"""How much more a plainer kind of relation may leave than the best."""


@dataclass(frozen=True)
class Relation:
    """Some variables that are tied by an equation.

    Attributes:
        variables: Their names.
        columns: Their columns.
        score: 1 less the share of the variance that the equation leaves, on rows held out: 1 for an
            exact relation, 0 for none.
        target: The variable that the formula gives; None if it is an implicit one, or none.
        formula: The formula: a SymPy expression of the other variables if there is a target, else
            of all, and zero on the data; None where none was found.
        error: What the formula leaves on rows that it was not made of, as a share of the spread of
            the target or, of an equation, of its spread on shuffled columns; None without formula.
        pairs: Whether the equation has products of variables in it, besides functions of one.
        sought: Whether a formula was looked for.
    """

    variables: tuple[str, ...]
    columns: tuple[int, ...]
    score: float
    target: str | None
    formula: Any
    error: float | None
    pairs: bool = field(repr=False)
    sought: bool = field(default=False, repr=False)

    def __str__(self) -> str:
        if self.formula is None:
            none = ", no formula found" if self.sought else ""
            return f"{', '.join(self.variables)} are tied (score {self.score:.4g}{none})"
        shown = shorten(self.formula)
        left = shown if self.target is None else self.target
        right = 0 if self.target is None else shown
        return f"{left} = {right} (score {self.score:.4g}, error {self.error:.1e})"


@dataclass(frozen=True)
class Relations:
    """The relations of a table, the most exact first.

    Attributes:
        found: The relations.
        free: The names of the variables that are in none.
        seconds: How long it took.
    """

    found: tuple[Relation, ...]
    free: tuple[str, ...]
    seconds: float = field(repr=False)

    def __iter__(self) -> Iterator[Relation]:
        """The relations in their order."""
        return iter(self.found)

    def __len__(self) -> int:
        """The number of relations."""
        return len(self.found)

    def __getitem__(self, index: int) -> Relation:
        """One relation, by its rank."""
        return self.found[index]

    def __str__(self) -> str:
        lines = [f"{n}. {relation}" for n, relation in enumerate(self.found, 1)]
        lines = lines or ["no relation found"]
        return "\n".join([*lines, *([f"free: {', '.join(self.free)}"] if self.free else [])])


def discover_relations(
    data: Any,
    *,
    names: Sequence[str] | None = None,
    threshold: float = 0.05,
    formulas: bool = True,
    time: float = 20.0,
    seed: int = 0,
) -> Relations:
    r"""Find relations among the columns of a table without naming a target.

    What ties columns together is what shuffling them breaks: the rows are contrasted with rows of
    columns that are shuffled independently (the unsupervised toy of the KAN paper, arXiv
    2404.19756, sec. 3). A relation :math:`\sum_i \phi_i(x_i) = 0` is a network of one layer that
    stays at zero on the rows and varies on shuffled ones; the best one is an eigenvector, and is
    found exactly, with no training and no seed to be lucky with. It need not be a function of
    any variable: :math:`x_1^2 + x_2^2 = 1` is found as well. Variables that it does not need are
    left out; then one of its variables is set aside and the next relation is looked for, until
    nothing is left that is tied. Products are found as well: those of powers, of any number of
    variables, as sums of the logarithms of their sizes; others where a variable is a sum of
    products of functions of two others, or of three others. Of these kinds the plainest is taken
    that leaves at most ten times what the best one leaves.

    Then formulas are sought on four fifths of the rows: a law for one variable of a relation by
    `discover`; a function by `fit` and `symbolize`; or an equation where there is no function. What
    the other rows do not bear out, an error of more than three times that on the first, is not
    shown.

    Args:
        data: The table, (rows, variables), of at least 50 rows: a tensor or a NumPy array.
        names: What the columns are called; x_1, x_2, ... by default.
        threshold: The share of the variance that a relation may leave.
        formulas: Whether to look for formulas.
        time: A budget in seconds for the formulas, shared by all relations.
        seed: The seed of the rows held out.

    Returns:
        The relations, ranked by their score, and the variables that are in none.

    Raises:
        ShapeError: If data is no matrix, or the number of names is wrong.
        DataError: If values are missing, rows are too few, or a column is constant.
        ConfigError: If the threshold or the time is not accepted.

    Example:
        >>> angle = 6 * torch.rand(500, dtype=torch.float64)
        >>> other = torch.rand(500, dtype=torch.float64)
        >>> table = torch.stack([angle.cos(), angle.sin(), other], 1)
        >>> found = ew.science.discover_relations(table, formulas=False)
        >>> [relation.variables for relation in found], found.free
        ([('x_1', 'x_2')], ('x_3',))
        >>> sides = 1 + torch.rand(500, 3, dtype=torch.float64)
        >>> table = torch.cat([sides, sides.prod(1, keepdim=True)], 1)
        >>> (volume,) = ew.science.discover_relations(table, names=["a", "b", "c", "V"])
        >>> volume.target, volume.formula, volume.error < 1e-9
        ('V', a*b*c, True)
    """
    begin = clock.perf_counter()
    x = _checked(data)
    called = _names(names, x.shape[1])
    if not 0 < threshold < 1:
        raise ConfigError(f"threshold is a share of the variance between 0 and 1, got {threshold}.")
    if not time > 0:
        raise ConfigError(f"time is a budget in seconds and must be positive, got {time}.")
    hits = _search(x, threshold, seed)
    relations = []
    for number, hit in enumerate(sorted(hits, key=lambda hit: hit.left)):
        formula = None
        if formulas:
            left = time - (clock.perf_counter() - begin)
            formula = _formula(x, hit, called, threshold, left / (len(hits) - number), seed)
        target, expr, error = formula or (None, None, None)
        relations.append(
            Relation(
                tuple(called[i] for i in hit.columns),
                hit.columns,
                1 - hit.left,
                target,
                expr,
                error,
                hit.parts is None,
                formulas,
            )
        )
    tied = {i for relation in relations for i in relation.columns}
    free = tuple(name for i, name in enumerate(called) if i not in tied)
    return Relations(tuple(relations), free, clock.perf_counter() - begin)


@dataclass(frozen=True)
class _Hit:
    """A relation that was found, before it has a formula.

    Attributes:
        columns: Its variables.
        left: The share of the variance that it leaves.
        parts: Its functions of one variable, (batch, columns), whose sum is a constant; None where
            it has products.
    """

    columns: tuple[int, ...]
    left: float
    parts: Tensor | None


def _search(x: Tensor, threshold: float, seed: int) -> list[_Hit]:
    """Relations in turn, the plainest that is about as good as any: sums, powers, products."""
    hits: list[_Hit] = []
    left = tuple(range(x.shape[1]))
    sums, powers, products = _families(x, seed)
    while len(left) > 1:
        contrast = min(sums, key=lambda c: c.least(left).ratio)
        found = [contrast.least(left).ratio, powers.least(left).ratio, float("inf")]
        regressed = None
        if min(found) > _EXACT and len(left) > 2 and products:
            regressed = min((r.best(left, _EXACT) for r in products), key=lambda r: r[2])
            if len(regressed[1]) > 1:  # with one variable it is a sum
                found[2] = regressed[2]
        if min(found) > threshold:
            break
        most = min(_AS_GOOD * min(found) + _EXACT, threshold)
        way = next(n for n, ratio in enumerate(found) if ratio <= most)
        if way == 2:
            assert regressed is not None
            target, needed, share = regressed
            hit = _Hit(tuple(sorted((target, *needed))), share, None)
            hits += [] if _follows(hit, hits) else [hit]
            left = tuple(k for k in left if k != target)
            continue
        contrast = powers if way == 1 else contrast
        columns, direction = contrast.minimal(left, _EXACT)
        if direction.ratio > threshold:
            break
        parts = contrast.parts(direction, columns) if way == 0 else None
        hit = _Hit(columns, direction.ratio, parts)
        hits += [] if _follows(hit, hits) else [hit]
        rests = [tuple(k for k in left if k != i) for i in columns]
        left = min(rests, key=lambda rest: contrast.least(rest).ratio)
    return hits


def _follows(hit: _Hit, hits: list[_Hit]) -> bool:
    """Whether a relation is what is left of a better one without one of its variables."""
    return any(
        set(hit.columns) < set(better.columns) and hit.left > _AS_GOOD * better.left + _EXACT
        for better in hits
    )


def _families(x: Tensor, seed: int) -> tuple[list[Contrast], Contrast, list[Regression]]:
    """What relations are made of: functions of one variable, powers, and products."""

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    splines = [spline_features(x, grid) for grid in _GRIDS]
    fit = [f for f in splines if _ROWS * f.values.shape[1] <= len(x)] or splines[:1]
    products = [pair_features(x, degree) for degree in (1, 2, 3)]
    products += [product_features(x)] if x.shape[1] > 3 else []
    products = [f for f in products if _ROWS * f.values.shape[1] <= len(x)]
    return (
        [Contrast(f, generator()) for f in fit],
        Contrast(log_features(x), generator()),
        [Regression(f, x, generator()) for f in products],
    )


def _formula(
    x: Tensor, hit: _Hit, names: Sequence[str], threshold: float, time: float, seed: int
) -> tuple[str | None, Any, float] | None:
    """The best formula of a relation, with its target, and its error on rows held out."""
    called = [names[i] for i in hit.columns]
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    table = x[:, list(hit.columns)]
    held, fitted = table[order[: len(x) // _HELD]], order[len(x) // _HELD :]
    parts = None if hit.parts is None else hit.parts[fitted]
    for target, expr, error in _candidates(table[fitted], parts, called, threshold, time, seed):
        on_held = verified(held, target, expr, called, seed)
        if on_held <= max(_WORSE * error, _ROUNDING):  # NaN is not
            return target, expr, on_held
    return None


def _candidates(
    table: Tensor,
    parts: Tensor | None,
    names: Sequence[str],
    threshold: float,
    time: float,
    seed: int,
) -> Iterator[tuple[str | None, Any, float]]:
    """Formulas for a relation, those first that are sooner found or surer."""
    begin = clock.perf_counter()

    def left() -> float:
        return time - (clock.perf_counter() - begin)

    everything = range(table.shape[1])
    targets = everything if parts is None else functions(table, parts, threshold, seed)
    if found := solved(table, targets, names, _SOLVE * left(), seed, each=_QUICK):
        yield found
    if parts is None and (found := polynomial_of(table, names)):
        yield found
    if parts is not None and targets and (found := explicit(table, names, _SOLVE * left(), seed)):
        yield found
    if found := solved(table, targets, names, _SOLVE * left(), seed):
        yield found
    if parts is None and left() > 0 and (found := explicit(table, names, left(), seed)):
        yield found
    if parts is not None and left() > 0:
        equation = polynomial_equation(table, names) or implicit(table, parts, names, left(), seed)
        if equation is not None:
            yield None, *equation


def _checked(data: Any) -> Tensor:
    x = points(data)
    if x.shape[1] < 2:
        raise ShapeError(f"A relation ties at least 2 columns, got {x.shape[1]}.")
    if len(x) < _FEWEST:
        raise DataError(f"Relations are looked for in at least {_FEWEST} rows, got {len(x)}.")
    still = x.amax(0) - x.amin(0) <= 1e-12 * x.abs().amax(0)
    if bool(still.any()):
        column = int(still.nonzero()[0])
        raise DataError(f"Column {column} is constant, which ties it to nothing. Leave it out.")
    return x


def _names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    called = tuple(f"x_{i + 1}" for i in range(count)) if names is None else tuple(map(str, names))
    if len(called) != count:
        raise ShapeError(f"The table has {count} columns, got {len(called)} names.")
    if len(set(called)) < count:
        raise ConfigError(f"Every column has a name of its own, got {list(called)}.")
    return called
