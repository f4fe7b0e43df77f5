"""The verb: find what ties the columns of a table together, with no target named."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._symbolic._formula import shorten
from edgewise.science._budget import Budget
from edgewise.science._derivatives import points
from edgewise.science._equations import plain_equation
from edgewise.science._formulas import explicit, functions, implicit, solved, verified
from edgewise.science._polynomials import polynomial_of
from edgewise.science._search import Hit, search

_FEWEST = 50  # rows
_HELD = 5
"""One of so many rows is held out to verify formulas on."""
_WORSE = 3.0
"""How much larger the error of a formula may be on rows held out."""
_ROUNDING = 1e-9
"""An error that is no more than rounding, as a share of the spread."""
_DRAWN = 20_000
"""Rows that are looked at; of more, so many are drawn."""
_SEARCH = 0.5
"""The share of the time in which more relations are searched, if formulas are as well."""
_SOLVE = 0.6
"""The share of the time that is left for each of the ways to a formula."""
_QUICK = 1.0
"""Seconds for the law of each variable to begin with: most are found at once, or not at all."""


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
        missed: What was not looked at, since the time was over, or there were too many columns or
            too few rows for it.
    """

    found: tuple[Relation, ...]
    free: tuple[str, ...]
    seconds: float = field(repr=False)
    missed: tuple[str, ...] = field(default=(), repr=False)

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
        lines += [f"free: {', '.join(self.free)}"] if self.free else []
        lines += [f"not looked at: {'; '.join(self.missed)}"] if self.missed else []
        return "\n".join(lines)


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

    Of relations that follow from each other, those of the fewest variables are taken, and then the
    shortest.

    Then formulas are sought on four fifths of the rows: a law for one variable of a relation by
    `discover`; a function by `fit` and `symbolize`; or an equation where there is no function, of
    powers, roots, logarithms and exponentials or else read off a network. What the other rows do
    not bear out, an error of more than three times that on the first, is not shown.

    Args:
        data: The table, (rows, variables), of at least 50 rows: a tensor or a NumPy array. Of more
            than 20,000 rows, so many are drawn.
        names: What the columns are called; x_1, x_2, ... by default.
        threshold: The share of the variance that a relation may leave.
        formulas: Whether to look for formulas.
        time: A budget in seconds. After half of it no more relations are looked for, but formulas
            for those that were found.
        seed: The seed of the rows held out.

    Returns:
        The relations, ranked by their score, the variables that are in none, and what was not
        looked at.

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
    x = _checked(data)
    called = _names(names, x.shape[1])
    if not 0 < threshold < 1:
        raise ConfigError(f"threshold is a share of the variance between 0 and 1, got {threshold}.")
    if not time > 0:
        raise ConfigError(f"time is a budget in seconds and must be positive, got {time}.")
    import sympy  # noqa: F401  (a second that is not of the time)

    budget = Budget(time)
    drawn = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:_DRAWN]
    x = x[drawn.sort().values]
    more = Budget(_SEARCH * time if formulas else time, budget.missed)
    hits = search(x, threshold, seed, budget, more)
    relations = []
    for number, hit in enumerate(sorted(hits, key=lambda hit: hit.left)):
        tied = tuple(called[i] for i in hit.columns)
        formula = None
        if formulas:
            own = Budget(budget.left / (len(hits) - number))
            formula = _formula(x, hit, called, threshold, own, seed)
            if formula is None and own.missed:
                budget.miss(f"for {', '.join(tied)}: {', '.join(own.missed)}")
        target, expr, error = formula or (None, None, None)
        relations.append(
            Relation(
                tied,
                hit.columns,
                1 - hit.left,
                target,
                expr,
                error,
                hit.parts is None,
                formulas,
            )
        )
    if formulas:
        relations = _shortest(x, relations, called, budget, seed)
    tied = {i for relation in relations for i in relation.columns}
    free = tuple(name for i, name in enumerate(called) if i not in tied)
    return Relations(tuple(relations), free, time - budget.left, tuple(budget.missed))


def _formula(
    x: Tensor, hit: Hit, names: Sequence[str], threshold: float, budget: Budget, seed: int
) -> tuple[str | None, Any, float] | None:
    """The best formula of a relation, with its target, and its error on rows held out."""
    called = [names[i] for i in hit.columns]
    held, fitted = (x[rows][:, hit.columns] for rows in _dealt(len(x), seed))
    parts = None if hit.parts is None else hit.parts[_dealt(len(x), seed)[1]]
    for target, expr, error in _candidates(
        fitted, parts, hit.left, called, threshold, budget, seed
    ):
        on_held = verified(held, target, expr, called, seed)
        if on_held <= max(_WORSE * error, _ROUNDING):  # NaN is not
            return target, expr, on_held
    return None


def _dealt(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """The rows to verify formulas on, and those to find them on."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return order[: rows // _HELD], order[rows // _HELD :]


def _candidates(
    table: Tensor,
    parts: Tensor | None,
    ratio: float,
    names: Sequence[str],
    threshold: float,
    budget: Budget,
    seed: int,
) -> Iterator[tuple[str | None, Any, float]]:
    """Formulas for a relation, those first that are sooner found or surer."""
    everything = range(table.shape[1])
    targets = everything if parts is None else functions(table, parts, threshold, seed)
    quick = Budget(_SOLVE * budget.left)  # what it misses is looked for again
    if found := solved(table, targets, names, quick, seed, each=_QUICK):
        yield found
    if parts is None and (found := polynomial_of(table, names)):
        yield found
    plain = None
    if parts is not None:
        plain = plain_equation(table, parts, names, ratio, budget)
    if plain is not None and (plain[0] is not None or not targets):
        yield plain
    some = bool(targets) and parts is not None
    if some and (found := explicit(table, names, budget.share(_SOLVE), seed)):
        yield found
    if found := solved(table, targets, names, budget.share(_SOLVE), seed):
        yield found
    if parts is None and (found := explicit(table, names, budget, seed)):
        yield found
    if parts is None:
        return
    if plain is not None:
        yield plain
    if budget.left <= 0:
        budget.miss("an equation by a network")
    elif equation := implicit(table, parts, names, budget, seed):
        yield None, *equation


def _shortest(
    x: Tensor, relations: list[Relation], names: Sequence[str], budget: Budget, seed: int
) -> list[Relation]:
    """Of relations that share variables, take the shortest of those that say the same.

    With a = m^3, the law b = exp(m) is one for a and b as well, which is longer.
    """
    import sympy

    def length(formula: Any) -> float:
        return math.inf if formula is None else float(sympy.count_ops(formula))

    for n, relation in enumerate(relations):
        for other in relations:
            here, there = set(relation.columns), set(other.columns)
            if other is relation or len(there - here) > 1 or length(relation.formula) <= 1:
                continue
            for shared in sorted(here & there):
                columns = tuple(sorted((here | there) - {shared}))
                if budget.left <= 0 or {*columns} in [{*r.columns} for r in relations]:
                    continue
                called = [names[i] for i in columns]
                held, fitted = (x[rows][:, columns] for rows in _dealt(len(x), seed))
                quick = Budget(min(_QUICK * len(columns), budget.left))
                found = solved(fitted, range(len(columns)), called, quick, seed, each=_QUICK)
                if found is None or length(found[1]) >= length(relation.formula):
                    continue
                target, expr, error = found
                on_held = verified(held, target, expr, called, seed)
                if on_held <= max(_WORSE * min(error, relation.error or error), _ROUNDING):
                    relation = Relation(
                        tuple(called),
                        columns,
                        1 - on_held**2,
                        target,
                        expr,
                        on_held,
                        relation.pairs,
                        True,
                    )
                    relations[n] = relation
                    break
    return relations


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
