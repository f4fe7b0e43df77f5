r"""An equation of plain functions of one variable each, on rows with noise in every variable.

For each variable a few shapes are tried, such as :math:`x^2` or :math:`a x + b x^2`. Which of them
go together is told by the ratio that relations are found by, and by their length. The constants are
those of :math:`g(x) = 0` that lie nearest to the rows, to first order (Sampson 1982, *Fitting conic
sections to "very scattered" data*, Comput. Graph. Image Process. 18): least squares of
:math:`g / |\nabla g|`, with distances in units of each variable's spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import torch
from torch import Tensor

from edgewise.science._budget import Budget

_KEPT = 4
"""Shapes of each variable that are tried together, besides the plain ones."""
_MOST = 3000
"""Combinations of shapes, at most."""
_NATS = 3.0
"""What a constant or a symbol has to be worth in log-likelihood, as in `symbolize`."""
_LIKE = 3.0
"""How much more than the functions of least ratio plain ones may leave: these are flat where the
noise shows most, so that they leave somewhat less than the law."""
_AS_GOOD = 1.5
"""How much more than others the plain ones may leave."""
_ROUNDING = 1e-20
"""A ratio of variances that is as good as zero."""
_FITTED = 50
"""Combinations that are fitted, to tell them by the distances."""
_STEPS = 30
_DENOMINATORS = (1, 2, 3, 4, 5, 6, 8, 10, 12)
_SURE = 2.5
"""How many standard errors a plain number may be away."""
_TOLD = 30.0
"""The standard errors between integers that are told from others, and more between fractions."""


@dataclass(frozen=True)
class _Term:
    """A function of one variable with two derivatives, and what it costs."""

    sympy: Callable[[Any], Any]
    values: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    length: float


def _power(p: Fraction) -> _Term:
    e = float(p)
    exponent = int(p) if p.denominator == 1 else e

    def values(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if exponent == 1:
            return u, torch.ones_like(u), torch.zeros_like(u)
        bend = e * (e - 1) * (u ** (exponent - 2) if exponent != 2 else torch.ones_like(u))
        return u**exponent, e * u ** (exponent - 1), bend

    def expression(s: Any) -> Any:
        import sympy

        return s ** sympy.Rational(p.numerator, p.denominator)

    return _Term(expression, values, 1.0 if p == 1 else 1.0 + 0.5 * abs(e - 1))


def _log(s: Any) -> Any:
    import sympy

    return sympy.log(s)


def _exp(s: Any) -> Any:
    import sympy

    return sympy.exp(s)


_X, _X2, _X3, _X4 = (_power(Fraction(p)) for p in (1, 2, 3, 4))
_PLAIN: tuple[tuple[_Term, ...], ...] = ((_X,), (_X2,), (_X, _X2))
_SHAPES: tuple[tuple[_Term, ...], ...] = (
    *_PLAIN,
    (_X3,),
    (_X4,),
    (_X, _X3),
    (_X2, _X4),
    (_X, _X2, _X3),
    (_power(Fraction(-1)),),
    (_power(Fraction(-2)),),
    (_power(Fraction(1, 2)),),
    (_Term(_log, lambda u: (u.log(), 1 / u, -1 / u**2), 2.0),),
    (_Term(_exp, lambda u: (u.exp(), u.exp(), u.exp()), 2.0),),
)


@dataclass(frozen=True)
class _Shape:
    """A shape of one variable on the rows: its terms, values and derivatives, (batch, terms)."""

    variable: int
    terms: tuple[_Term, ...]
    values: Tensor
    slopes: Tensor
    bends: Tensor

    @property
    def length(self) -> float:
        """What it costs, in symbols and constants."""
        return sum(term.length for term in self.terms) + len(self.terms) - 1


def plain_equation(
    table: Tensor, parts: Tensor, names: Sequence[str], ratio: float, budget: Budget
) -> tuple[str | None, Any, float] | None:
    """The equation of plain functions that holds as well as any sum of functions of one variable.

    Args:
        table: The rows, (batch, variables).
        parts: Functions of one variable whose sum is a constant, (batch, variables).
        names: What the variables are called.
        ratio: What is left of the variance of these, on rows held out.
        budget: The time.

    Returns:
        A variable that stands alone in the equation, if there is one, and what it is, or None and
        the expression that is zero; and the root mean square that is left, over the spread of the
        variable, or over that on shuffled columns. None if there is no such equation.
    """
    options = [_best_shapes(table[:, i], parts[:, i], i) for i in range(table.shape[1])]
    while math.prod(len(o) for o in options) > _MOST:
        longest = max(options, key=len)
        if len(longest) == 1:
            return None
        longest.pop()
    ranked: list[tuple[float, tuple[_Shape, ...]]] = []
    for shapes in product(*options):
        if budget.left <= 0:
            budget.miss("some plain equations")
            break
        ranked.append((_cost(_ratio(shapes), shapes), shapes))
    ranked.sort(key=lambda one: one[0])
    fits = [_Fit(shapes, table.std(0)) for _, shapes in ranked[:_FITTED]]
    # a product of equations is near to more rows, as (x^2 - y^2) (x^2 + y^2 - 1), but leaves more
    left = [fit.left(fit.c) ** 2 for fit in fits]
    most = min(_AS_GOOD * min(left, default=0.0), _LIKE * ratio) + _ROUNDING
    good = [fit for fit, share in zip(fits, left, strict=True) if share <= most]
    if not good:
        return None
    return _written(min(good, key=lambda fit: _cost(fit.square, fit.shapes)), names)


def _cost(left: float, shapes: Sequence[_Shape]) -> float:
    """Error and length together, in nats."""
    error = 0.5 * len(shapes[0].values) * math.log(max(left, _ROUNDING))
    return error + _NATS * sum(shape.length for shape in shapes)


def _best_shapes(u: Tensor, part: Tensor, variable: int) -> list[_Shape]:
    """The shapes that a function of one variable is nearest to, the best first."""
    found = []
    part = part - part.mean()
    spread = float(part.square().mean()) or 1.0
    for terms in _SHAPES:
        columns = [term.values(u) for term in terms]
        values, slopes, bends = (torch.stack(list(kind), 1) for kind in zip(*columns, strict=True))
        if not all(bool(t.isfinite().all()) for t in (values, slopes, bends)):
            continue
        centered = values - values.mean(0)
        scale = centered.norm(dim=0)
        if bool((scale <= 1e-9 * values.norm(dim=0)).any()):
            continue
        A = centered / scale
        values_of_gram = torch.linalg.eigvalsh(A.T @ A)
        if float(values_of_gram[0]) < 1e-10:
            continue
        c = torch.linalg.lstsq(A, part[:, None]).solution
        left = float((part - (A @ c)[:, 0]).square().mean()) / spread
        shape = _Shape(variable, terms, values, slopes, bends)
        cost = 0.5 * len(u) * math.log(max(left, 1e-12)) + _NATS * shape.length
        found.append((cost, shape))
    found.sort(key=lambda one: one[0])
    shapes = [shape for _, shape in found]
    return shapes[:_KEPT] + [s for s in shapes[_KEPT:] if s.terms in _PLAIN]


def _ratio(shapes: Sequence[_Shape]) -> float:
    """The least variance of a sum over that on shuffled columns."""
    blocks = []
    for shape in shapes:
        A = shape.values - shape.values.mean(0)
        A = A / A.norm(dim=0)
        factor = torch.linalg.cholesky(A.T @ A)
        blocks.append(torch.linalg.solve_triangular(factor, A.T, upper=False).T)
    W = torch.cat(blocks, 1)  # each block has orthonormal columns
    return max(float(torch.linalg.svdvals(W)[-1]) ** 2, 0.0)


class _Fit:
    """An equation fitted to rows: coefficients of terms, of which one is 1, and a constant.

    Attributes:
        c: The numbers, the constant at the end.
        lead: Which of them is 1.
        square: The mean square of the distances.
        errors: The standard errors.
    """

    def __init__(self, shapes: Sequence[_Shape], spread: Tensor) -> None:
        self.shapes = shapes
        self.of = [shape.variable for shape in shapes for _ in shape.terms]
        one = shapes[0].values[:, :1]
        self.values = torch.cat([*(s.values for s in shapes), torch.ones_like(one)], 1)
        self.slopes = torch.cat([s.slopes for s in shapes], 1) * spread[self.of]
        self.bends = torch.cat([s.bends for s in shapes], 1) * spread[self.of].square()
        self.groups = [[k for k, i in enumerate(self.of) if i == v] for v in sorted(set(self.of))]
        self.terms = [term for shape in shapes for term in shape.terms]
        c = self._start()
        self.lead = self._lead(c)
        free = [n for n in range(len(c)) if n != self.lead]
        self.c, self.square, self.errors = self.refine(c / c[self.lead], free)

    def left(self, c: Tensor) -> float:
        """The root mean square over that on shuffled columns."""
        apart = sum(float((self.values[:, g] @ c[g]).var()) for g in self.groups)
        return math.sqrt(float((self.values @ c).square().mean()) / apart)

    def _lead(self, c: Tensor) -> int:
        """The first term that ends its variable and matters, to have the coefficient 1."""
        sizes = self.values[:, :-1].std(0) * c[:-1].abs()
        ends = [group[-1] for group in self.groups]
        return next((n for n in ends if sizes[n] > 0.1 * sizes.max()), int(sizes.argmax()))

    def _start(self) -> Tensor:
        """The combination of the least ratio, with the constant that makes its mean zero."""
        scale = (self.values[:, :-1] - self.values[:, :-1].mean(0)).norm(dim=0)
        A = (self.values[:, :-1] - self.values[:, :-1].mean(0)) / scale
        C = A.T @ A
        B = torch.zeros_like(C)
        for group in self.groups:
            index = torch.tensor(group)
            B[index[:, None], index] = C[index][:, index]
        factor = torch.linalg.cholesky(B)
        half = torch.linalg.solve_triangular(factor, C, upper=False)
        half = torch.linalg.solve_triangular(factor, half.T, upper=False)
        v = torch.linalg.eigh((half + half.T) / 2)[1][:, :1]
        c = torch.linalg.solve_triangular(factor.T, v, upper=True)[:, 0] / scale
        return torch.cat([c, -(self.values[:, :-1].mean(0) @ c)[None]])

    def residual(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """The distances to the equation, (batch,), and their derivatives, (batch, constants)."""
        g = self.values @ c
        square, turn = torch.zeros_like(g), torch.zeros_like(self.values)
        for group in self.groups:
            slope = self.slopes[:, group] @ c[group]
            square = square + slope.square()
            turn[:, group] = slope[:, None] * self.slopes[:, group]
        square = square.clamp_min(1e-12 * float(square.mean()) + 1e-300)
        size = square.sqrt()
        return g / size, self.values / size[:, None] - (g / (size * square))[:, None] * turn

    def refine(self, c: Tensor, free: Sequence[int]) -> tuple[Tensor, float, Tensor]:
        """Gauss-Newton steps in some constants; with the mean square and the standard errors."""
        index = torch.tensor(list(free), dtype=torch.int64)
        r, J = self.residual(c)
        for _ in range(_STEPS if len(free) else 0):
            step = _solve(J[:, index], r)
            length = 1.0
            for _ in range(8):
                tried = c.clone()
                tried[index] -= length * step
                new, slopes = self.residual(tried)
                if float(new.square().mean()) < float(r.square().mean()):
                    break
                length /= 2
            else:
                break
            gain = 1 - float(new.square().mean()) / float(r.square().mean())
            c, r, J = tried, new, slopes
            if gain < 1e-10:
                break
        square = float(r.square().mean())
        errors = torch.zeros_like(c)
        if len(free):
            scale = J[:, index].norm(dim=0).clamp_min(1e-300)
            A = J[:, index] / scale
            errors[index] = (torch.linalg.pinv(A.T @ A).diagonal().clamp_min(0) * square).sqrt()
            errors[index] /= scale
        return c, square, errors


def _solve(A: Tensor, b: Tensor) -> Tensor:
    scale = A.norm(dim=0).clamp_min(1e-300)
    return torch.linalg.lstsq(A / scale, b[:, None]).solution[:, 0] / scale


def _written(fit: _Fit, names: Sequence[str]) -> tuple[str | None, Any, float] | None:
    """Write the equation, with plain numbers where the rows tell these."""
    import sympy

    c, exact = _snapped(fit)
    symbols = [sympy.Symbol(name, real=True) for name in names]
    expr = sympy.Integer(0)
    for n, term in enumerate(fit.terms):
        expr += _number(exact.get(n), float(c[n])) * term.sympy(symbols[fit.of[n]])
    expr += _number(exact.get(len(c) - 1), float(c[-1]))
    if len(expr.free_symbols) < len(symbols):
        return None
    alone = [shape for shape in fit.shapes if shape.terms == (_X,)]
    if not alone:
        return None, expr, fit.left(c)
    target = alone[-1]
    slope = expr.coeff(symbols[target.variable], 1)
    rest = sympy.expand(symbols[target.variable] - expr / slope)
    off = float((fit.values @ c).square().mean().sqrt()) / abs(float(slope))
    return names[target.variable], rest, off / float(target.values.std())


def _snapped(fit: _Fit) -> tuple[Tensor, dict[int, Fraction]]:
    """Make plain numbers of the constants that the rows tell from others."""
    c, square, errors = fit.c.clone(), fit.square, fit.errors
    last = len(c) - 1
    free = [n for n in range(len(c)) if n != fit.lead]
    exact = {fit.lead: Fraction(1)}
    for n in sorted(free[:-1], key=lambda n: float(errors[n] / c[n].abs())):
        near = _near(float(c[n]), float(errors[n]))
        if near is None:
            continue
        tried, rest = c.clone(), [k for k in free if k != n]
        tried[n] = float(near)
        tried, worse, seen = fit.refine(tried, rest)
        if len(fit.values) * math.log(max(worse / square, 1.0)) <= 2 * _NATS:
            c, errors, free, exact[n] = tried, seen, rest, near
    middle = float((fit.values[:, :-1] @ c[:-1]).mean())
    c[last] = 0.5 * square * float((fit.bends @ c[:-1]).mean()) - middle  # less what noise adds
    near = _near(float(c[last]), float(errors[last]))
    if near is not None:
        c[last], exact[last] = float(near), near
    return c, exact


def _near(value: float, error: float) -> Fraction | None:
    """The plain number that a value is, if it can be told from the next ones."""
    error = max(error, 1e-8 * abs(value), 1e-10)
    for d in _DENOMINATORS:
        near = Fraction(round(value * d), d)
        if 1 / d**2 > _TOLD * error and abs(float(near) - value) <= _SURE * error:
            return near
    return None


def _number(exact: Fraction | None, value: float) -> Any:
    import sympy

    if exact is not None:
        return sympy.Rational(exact.numerator, exact.denominator)
    return sympy.Float(value, 6)
