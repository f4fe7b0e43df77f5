r"""Symmetries of a function: pairs of inputs that enter as one, and expressions of the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError, ShapeError
from edgewise._symbolic._compile._words import parse
from edgewise.science._derivatives import (
    Derivatives,
    Target,
    differentiable,
    points,
    ratio,
    spread_of,
)
from edgewise.science._groups import without
from edgewise.science._separate import check_tolerance, idle_inputs

Kind: TypeAlias = Literal["difference", "sum", "ratio", "product", "radial"]

# what each kind says of f_i and f_j: the two terms that are equal
_EQUAL: dict[Kind, Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "difference": lambda x, y, f_x, f_y: (f_x, -f_y),
    "sum": lambda x, y, f_x, f_y: (f_x, f_y),
    "ratio": lambda x, y, f_x, f_y: (x * f_x, -y * f_y),
    "product": lambda x, y, f_x, f_y: (x * f_x, y * f_y),
    "radial": lambda x, y, f_x, f_y: (y * f_x, x * f_y),
}
_WRITTEN: dict[Kind, str] = {
    "difference": "x_{} - x_{}",
    "sum": "x_{} + x_{}",
    "ratio": "x_{} / x_{}",
    "product": "x_{} * x_{}",
    "radial": "x_{}**2 + x_{}**2",
}
_CLOSE = 0.9


@dataclass(frozen=True)
class Symmetry:
    """Two inputs that enter through one expression.

    Attributes:
        kind: Which: "difference", "sum", "ratio", "product" or "radial".
        inputs: The two inputs, from 0.
        score: How far it is from exact, 0 to 1.
    """

    kind: Kind
    inputs: tuple[int, int]
    score: float

    def __str__(self) -> str:
        first, second = (i + 1 for i in self.inputs)
        return f"{_WRITTEN[self.kind].format(first, second)} (score {self.score:.1e})"


@dataclass(frozen=True)
class Symmetries:
    """The symmetries of all pairs of inputs: scores from 0, exact, to 1.

    Attributes:
        difference: Of :math:`x_i - x_j`, a translation of both, (inputs, inputs).
        sum: Of :math:`x_i + x_j`, a translation one against the other.
        ratio: Of :math:`x_i / x_j`, a scaling of both.
        product: Of :math:`x_i x_j`, a scaling one against the other.
        radial: Of :math:`x_i^2 + x_j^2`, a rotation.
        idle: The inputs that the function does not depend on.
        tolerance: The score up to which a symmetry holds.
    """

    difference: Float[Tensor, "inputs inputs"] = field(repr=False)
    sum: Float[Tensor, "inputs inputs"] = field(repr=False)
    ratio: Float[Tensor, "inputs inputs"] = field(repr=False)
    product: Float[Tensor, "inputs inputs"] = field(repr=False)
    radial: Float[Tensor, "inputs inputs"] = field(repr=False)
    idle: tuple[int, ...]
    tolerance: float

    @property
    def found(self) -> tuple[Symmetry, ...]:
        """Those that hold, the most exact first."""
        all_ = [s for s in self._each() if s.score <= self.tolerance]
        return tuple(sorted(all_, key=lambda s: s.score))

    def _each(self) -> list[Symmetry]:
        inputs = [i for i in range(len(self.sum)) if i not in self.idle]
        return [
            Symmetry(kind, (i, j), float(getattr(self, kind)[i, j]))
            for i in inputs
            for j in inputs
            if i < j
            for kind in _EQUAL
        ]

    def __str__(self) -> str:
        if not self.found:
            nearest = min(self._each(), key=lambda s: s.score, default=None)
            return "no symmetry of two inputs" + (f"; nearest is {nearest}" if nearest else "")
        return "\n".join(map(str, self.found))


def symmetries(f: Target, x: Any, *, tolerance: float = 1e-2) -> Symmetries:
    r"""Test for each pair of inputs whether it enters as a difference, sum, ratio, product, radius.

    Each says that two terms are equal, such as :math:`x_i f_i = x_j f_j` for a product (AI Feynman,
    Udrescu and Tegmark 2020, sec. II E); the score is the mean size of their difference over that
    of the terms. It does not depend on the units of f.

    Args:
        f: A KAN, a module or a function of tensors, (batch, inputs) to (batch, 1) or (batch,).
        x: Points, (batch, inputs), at least two rows, where f is smooth.
        tolerance: The score up to which a symmetry holds.

    Returns:
        The scores of all kinds and pairs, and which hold.

    Raises:
        ShapeError: If x is not of shape (batch, inputs), or f gives more than one output.
        DataError: If values are missing, an input does not vary, or f has no derivatives.
        ConfigError: If the tolerance is not accepted.

    Example:
        >>> points = torch.randn(200, 3, dtype=torch.float64)
        >>> def f(x):
        ...     return x[:, 2] * torch.sin(x[:, 0] ** 2 + x[:, 1] ** 2)
        >>> [(s.kind, s.inputs) for s in ew.science.symmetries(f, points).found]
        [('radial', (0, 1))]
    """
    check_tolerance(tolerance)
    x = points(x)
    found = differentiable(f)(x)
    idle = idle_inputs(found.scaled(spread_of(x)), tolerance)
    scores = {kind: without(_scores(kind, x, found), idle) for kind in _EQUAL}
    return Symmetries(**scores, idle=idle, tolerance=tolerance)


def _scores(kind: Kind, x: Tensor, found: Derivatives) -> Tensor:
    count = x.shape[1]
    scores = x.new_zeros(count, count)
    for i in range(count):
        for j in range(i):
            g = found.gradient
            one, other = _EQUAL[kind](x[:, i], x[:, j], g[:, i], g[:, j])
            size = one.abs() + other.abs()
            scores[i, j] = scores[j, i] = ratio((one - other).abs().mean(), size.mean())
    return scores


@dataclass(frozen=True)
class Invariance:
    """Whether a function depends on some inputs through an expression only.

    Attributes:
        expr: The expression, in SymPy.
        inputs: The inputs that it is of.
        cosines: The size of the cosine between the gradients of the function and of the expression
            in these inputs, (batch,); 1 where the function changes with the expression only.
        score: The mean sine of the angle between them, weighted by the size of the gradient.
        tolerance: The score up to which it holds.
    """

    expr: Any
    inputs: tuple[int, ...]
    cosines: Float[Tensor, "batch"] = field(repr=False)
    score: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the function depends on these inputs through the expression only."""
        return self.score <= self.tolerance

    @property
    def share(self) -> float:
        """The share of the rows with a cosine above 0.9."""
        return float((self.cosines > _CLOSE).double().mean())

    def __str__(self) -> str:
        verb = "enter" if self.holds else "do not enter"
        share = f"cosine above {_CLOSE} in {100 * self.share:.0f} % of the rows"
        return f"its inputs {verb} through {self.expr} only (score {self.score:.1e}, {share})"


def invariant(
    f: Target,
    x: Any,
    expr: Any,
    *,
    names: Sequence[Any] | None = None,
    tolerance: float = 1e-2,
) -> Invariance:
    """Test whether a function depends on the inputs of an expression through it only.

    The gradients of both in these inputs are parallel then (auxiliary variables in KAN 2.0, arXiv
    2408.10205, sec. 4.3).

    Args:
        f: A KAN, a module or a function of tensors, (batch, inputs) to (batch, 1) or (batch,).
        x: Points, (batch, inputs), at least two rows, where f and the expression are smooth.
        expr: A SymPy expression or a string, such as `"a**2 + b*c"`.
        names: What the inputs are called in it, in their order, as names or SymPy symbols; x_1,
            x_2, ... by default.
        tolerance: The mean sine of the angle between the gradients up to which it holds.

    Returns:
        The verdict, with the cosine in each row.

    Raises:
        ShapeError: If x is not of shape (batch, inputs), or f gives more than one output.
        DataError: If values are missing, or f has no derivatives.
        ConfigError: If the expression has a variable that is no input, or none.

    Example:
        >>> points = torch.rand(200, 3, dtype=torch.float64) + 0.5
        >>> def f(x):
        ...     return x[:, 0] * (x[:, 1] + x[:, 2])
        >>> ew.science.invariant(f, points, "b + c", names="a b c".split()).holds
        True
        >>> ew.science.invariant(f, points, "b * c", names="a b c".split()).holds
        False
    """
    check_tolerance(tolerance)
    x = points(x)
    called = [f"x_{i + 1}" for i in range(x.shape[1])] if names is None else [*map(str, names)]
    if len(called) != x.shape[1]:
        raise ShapeError(f"x has {x.shape[1]} inputs, got {len(called)} names.")
    written = _read(expr, called)
    of = {s.name: s for s in written.free_symbols}
    inputs = tuple(i for i, name in enumerate(called) if name in of)
    symbols = [of[called[i]] for i in inputs]
    columns = [x[:, i].numpy() for i in inputs]
    theirs = _gradient(written, symbols, columns)
    ours = differentiable(f)(x).gradient[:, list(inputs)]
    size = ours.norm(dim=1)
    along = (ours * theirs).sum(1).abs()
    whole = size * theirs.norm(dim=1)
    cosines = torch.where(whole > 0, along / whole, torch.ones_like(along)).clamp_max(1)
    unit = theirs / theirs.norm(dim=1, keepdim=True).clamp_min(1e-300)
    across = (ours - (ours * unit).sum(1, keepdim=True) * unit).norm(dim=1)
    return Invariance(written, inputs, cosines, float(ratio(across.sum(), size.sum())), tolerance)


def _read(expr: Any, names: list[str]) -> Any:
    """An expression of some of the inputs, with real symbols."""
    import sympy

    if isinstance(expr, str):
        expr = parse(expr, names)
    if not isinstance(expr, sympy.Expr):
        raise ConfigError(
            f"An expression is a SymPy expression or a string, got a {type(expr).__name__}."
        )
    symbols: Any = expr.free_symbols
    found = sorted(s.name for s in symbols)
    unknown = [name for name in found if name not in names]
    if unknown or not found:
        raise ConfigError(
            f"The expression is of some of the inputs {', '.join(names)}; "
            + (f"it has {', '.join(unknown)}." if unknown else f"{expr} has none of them.")
        )
    if unknown := sorted(str(f.func) for f in expr.atoms(sympy.core.function.AppliedUndef)):
        raise ConfigError(
            f"The expression calls {', '.join(unknown)}, which SymPy does not know. Write it with "
            "functions such as sin, exp, log, sqrt, Abs."
        )
    return expr.xreplace({s: sympy.Symbol(s.name, real=True) for s in symbols})


def _gradient(expr: Any, symbols: list[Any], columns: list[Any]) -> Tensor:
    """The gradient of an expression at each row, (batch, symbols)."""
    import numpy as np
    import sympy

    rows = []
    with np.errstate(all="ignore"):
        for symbol in symbols:
            slope = sympy.lambdify(symbols, expr.diff(symbol), "numpy")(*columns)
            rows.append(np.broadcast_to(np.asarray(slope, dtype=float), columns[0].shape))
    found = torch.from_numpy(np.stack(rows, 1))
    if not bool(found.isfinite().all()):
        raise ConfigError(f"The derivatives of {expr} are not finite at all points.")
    return found
