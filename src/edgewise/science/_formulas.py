"""A formula for a relation: one variable as a function of the others, or an equation of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import EdgewiseError
from edgewise._fit import fit
from edgewise._network import KAN
from edgewise._prune import prune
from edgewise._symbolic import Formula, symbolize
from edgewise._symbolic._discover._discover import laws
from edgewise.science._budget import Budget
from edgewise.science._contrast import spline_features
from edgewise.science._regress import Regression

_EXPLAINED = 0.2
"""What a fit may leave of the spread of its target to be taken for a function at all."""
_ONE_WAY = 0.95
"""The share of its ups and downs that go one way in a function that has an inverse."""
_FINE = 1e-4
"""What a formula leaves of the spread where no other target needs to be tried."""

_LEAST = 0.05
"""Seconds that a search is worth beginning for."""
_READ = 0.5
"""The share of the time to read a formula in; what it does at last is not cut off."""


def solved(
    table: Tensor,
    targets: Sequence[int],
    names: Sequence[str],
    budget: Budget,
    seed: int,
    each: float = float("inf"),
) -> tuple[str, Any, float] | None:
    """Search the law of each of some variables; the plainest of those that are found is taken.

    `each` is a limit in seconds for one variable.

    Of laws as long as each other, an exact one comes first, then one that is a polynomial, then
    that of the last column, since results stand behind what they come from.
    """
    import sympy

    found: list[tuple[tuple[Any, ...], int, Any, float]] = []
    for done, target in enumerate(reversed(targets)):
        left = budget.left
        if left <= _LEAST:
            budget.miss(f"a law for {names[target]}")
            continue
        rest = [i for i in range(table.shape[1]) if i != target]
        x, y = table[:, rest].numpy(), table[:, target].numpy()
        front = laws(x, y, time=min(each, left / (len(targets) - done)), seed=seed)
        if not front.finished:
            budget.miss(f"longer laws for {names[target]}")
        if not front.found or not front.best.expr.free_symbols:
            continue
        expr = _named(front.best, [names[i] for i in rest])
        plain = bool(expr.is_polynomial(*expr.free_symbols))
        order = (not front.exact, front.best.complexity, sympy.count_ops(expr), not plain)
        found.append((order, target, expr, front.best.rmse / float(y.std())))
    if not found:
        return None
    _, target, expr, error = min(found, key=lambda each: each[0])
    return names[target], expr, error


def functions(table: Tensor, parts: Tensor, threshold: float, seed: int) -> list[int]:
    """The variables that are functions of the others, in a sum of functions of one variable.

    A sum, (batch, variables), can be solved for a variable whose own function goes one way over the
    rows; where several sums are zero, as with c = 2 b, that need not be seen on one of them, but
    the variable is the sum of functions of the others.
    """
    count = table.shape[1]
    generator = torch.Generator().manual_seed(seed)
    sums = Regression(spline_features(table, 3), table, generator)
    found = []
    for i in range(count):
        steps = parts[table[:, i].argsort(), i].diff()
        one_way = float(steps.sum().abs()) >= _ONE_WAY * float(steps.abs().sum())
        if one_way or sums.left(i, [k for k in range(count) if k != i]) <= threshold:
            found.append(i)
    return found


def verified(rows: Tensor, target: str | None, expr: Any, names: Sequence[str], seed: int) -> float:
    """What a formula leaves on rows of its variables that it was not made of.

    In units of the spread of its target, or without one of what it is on shuffled columns.
    """
    import sympy

    symbols = [sympy.Symbol(name, real=True) for name in names]
    calls = sympy.lambdify(symbols, expr, "numpy")

    def values(table: Tensor) -> Tensor:
        found = torch.as_tensor(calls(*table.T.numpy()), dtype=table.dtype)
        return found.expand(len(table))

    if target is not None:
        y = rows[:, list(names).index(target)]
        return float((values(rows) - y).square().mean().sqrt() / y.std())
    generator = torch.Generator().manual_seed(seed)
    deals = [torch.randperm(len(rows), generator=generator) for _ in names]
    apart = torch.stack([rows[deal, i] for i, deal in enumerate(deals)], 1)
    return float(values(rows).square().mean().sqrt() / values(apart).std())


def explicit(
    table: Tensor, names: Sequence[str], budget: Budget, seed: int
) -> tuple[str, Any, float] | None:
    """Try each variable as a function of the others; the plainest of the good ones is taken."""
    count = table.shape[1]
    fits: list[tuple[float, int, list[int], KAN]] = []
    for target in range(count):
        left = budget.left
        if left <= _LEAST:
            budget.miss(f"a network for {names[target]}")
            continue
        rest = [i for i in range(count) if i != target]
        x, y = table[:, rest], table[:, [target]]
        spread = float(y.std())
        widths = [[1, 1]] if count == 2 else [[count - 1, 1, 1], [count - 1, (1, 1), 1]]
        tried = None
        for width in widths:
            part = 0.5 * left / (count - target) / len(widths)
            one = fit(KAN(width), x, y, seed=seed, refine=24, starts=3, time=part, progress=False)
            if tried is None or one.held_out < 0.3 * tried.held_out:
                tried = one
            if one.held_out < _FINE * spread:
                break
        if tried is not None and tried.held_out < _EXPLAINED * spread:
            fits.append((tried.held_out / spread, target, rest, tried.model))
    found: list[tuple[Formula, float, int]] = []
    for error, target, rest, model in sorted(fits, key=lambda each: each[0])[:2]:
        x, y = table[:, rest], table[:, [target]]
        called = [names[i] for i in rest]
        if budget.left <= _LEAST:
            budget.miss(f"the formula of the network for {names[target]}")
            continue
        formula = _read(prune(model, x), x, y, called, _READ * budget.left, seed)
        if formula is not None and formula.rmse <= max(3 * error, _FINE) * float(y.std()):
            found.append((formula, formula.rmse / float(y.std()), target))
    if not found:
        return None
    formula, error, target = min(found, key=lambda f: (f[1] > _FINE, f[0].complexity, f[1]))
    called = [name for i, name in enumerate(names) if i != target]
    return names[target], _named(formula, called), error


def implicit(
    table: Tensor, parts: Tensor, names: Sequence[str], budget: Budget, seed: int
) -> tuple[Any, float] | None:
    """Read an equation off functions of one variable whose sum is a constant, (batch, variables).

    On shuffled columns the sum varies, so that it can be fitted as any other target.
    """
    import sympy

    generator = torch.Generator().manual_seed(seed)
    deals = [torch.randperm(len(table), generator=generator) for _ in range(table.shape[1])]
    x = torch.stack([table[deal, i] for i, deal in enumerate(deals)], 1)
    y = sum(parts[deal, i] for i, deal in enumerate(deals))
    assert isinstance(y, Tensor)
    y = y[:, None]
    expr = None
    time = budget.left
    for _ in range(2):  # the scale of an equation is free: the second time it is a plain one
        result = fit(
            KAN([table.shape[1], 1]), x, y, seed=seed, refine=24, time=0.2 * time, progress=False
        )
        formula = _read(result.model, x, y, names, 0.3 * time, seed)
        if formula is None:
            break
        expr = _named(formula, names)
        varying = expr.as_independent(*expr.free_symbols, as_Add=True)[1]
        scale = float(sympy.Add.make_args(varying)[0].as_coeff_Mul()[0])
        if scale == 1:
            break
        y = y / scale
    if expr is None:
        return None
    symbols = [sympy.Symbol(name, real=True) for name in names]
    sums = sympy.lambdify(symbols, expr, "numpy")
    on_rows = torch.as_tensor(sums(*table.T.numpy()))
    expr = expr - float(on_rows.mean())  # the constant that the rows have
    apart = torch.as_tensor(sums(*x.T.numpy())).std()
    return _plain_constant(expr), float(on_rows.std() / apart)


def _plain_constant(expr: Any) -> Any:
    """Round the constant of an equation where it is a plain number to 5 digits."""
    import sympy

    constant, rest = expr.as_independent(*expr.free_symbols, as_Add=True)
    near = sympy.Rational(round(12 * float(constant)), 12)
    close = abs(float(near) - float(constant)) <= 1e-4 * max(1.0, abs(float(constant)))
    return rest + (near if close else sympy.Float(constant, 6))


def _read(
    model: KAN, x: Tensor, y: Tensor, names: Sequence[str], time: float, seed: int
) -> Formula | None:
    """The formula of a network, in the names of the variables, if all of it can be read."""
    if time <= 0:
        return None
    try:
        formula = symbolize(model, x, y, names=names, seed=seed, time=time, progress=False)
    except EdgewiseError:
        return None
    return None if formula.numeric else formula


def _named(formula: Formula, names: Sequence[str]) -> Any:
    """The expression of a formula in the names of the variables, which are real."""
    import sympy

    real = {s: sympy.Symbol(n, real=True) for s, n in zip(formula.symbols, names, strict=True)}
    return formula.expr.xreplace(real)
