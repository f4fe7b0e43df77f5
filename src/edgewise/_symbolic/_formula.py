"""A formula: what `symbolize` returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise._arrays import tensor_of
from edgewise._errors import ConfigError, ShapeError
from edgewise._layer import Lock
from edgewise._network import KAN
from edgewise._symbolic._evidence import Place, numeric_edges
from edgewise._symbolic._gaps import gaps
from edgewise._symbolic._snap import Exact
from edgewise._types import Edge
from edgewise.export import to_c, to_python

_LISTED = 5  # numeric edges in print
_EXACT = 1e-11
"""The error, as a share of the spread of y, that is no more than rounding."""
_FAR = 1e-8
"""The same for rows outside of those that were fitted."""


@dataclass(frozen=True)
class Constant:
    """A number in a formula.

    Attributes:
        edge: The edge that it belongs to; None in a formula that was not read from a network.
        name: Which of a, b, c, d in `c * f(a * x + b) + d`; c_1, c_2, ... where there is no edge.
        value: Its value.
        error: Its standard error, from the curvature of the fit; zero if it is exact, infinite if
            the data do not determine it.
        exact: The exact number that it was replaced by, in SymPy, or None.
    """

    edge: Edge | None
    name: str
    value: float
    error: float
    exact: Any = None

    def __str__(self) -> str:
        name = self.name if self.edge is None else f"{self.edge} {self.name}"
        if self.exact is not None:
            return f"{name} = {self.exact}"
        return f"{name} = {self.value:.10g} +- {self.error:.1g}"


@dataclass(frozen=True)
class Formula:
    """A formula for each output, with the error it makes on rows that it was not fitted to.

    Call it on a torch tensor or what NumPy reads as an array, of shape (batch, inputs); it returns
    a tensor or an array (batch, outputs) in the same precision. Where it has no value, it is NaN.

    Attributes:
        exprs: A SymPy expression for each output, in the symbols x_1, x_2, ...; an edge that no
            primitive explains stays numeric and stands there as a function phi.
        rmse: The root mean square error on held-out rows, in units of y; infinite if it has no
            value on some of them.
        network_rmse: The same error of the network that was read; NaN if there is none.
        spread: The standard deviation of y, to compare with.
        constants: The numbers that were fitted or made exact.
        numeric: The edges that no primitive explains, or that the search did not come to.
        finished: Whether the search went to its end: not if it was interrupted or out of time.
        names: What the inputs are called in print.
        model: The network with its edges locked, which the formula was read from; None for one
            that `discover` found.
        extrapolation: The root mean square error on the outermost fifth of the rows after a refit
            of its constants to the inner ones; NaN if it was not measured, as where edges are
            numeric: a spline knows nothing of what lies beyond.
        given: Named numbers that stand in the expressions, with their values.
        ranges: From where to where each input goes in the rows; empty if that is not known.
    """

    exprs: tuple[Any, ...]
    rmse: float
    network_rmse: float
    spread: float
    constants: tuple[Constant, ...] = field(repr=False)
    numeric: tuple[Edge, ...]
    finished: bool
    names: tuple[str, ...]
    model: KAN | None = field(default=None, repr=False)
    extrapolation: float = math.nan
    given: Mapping[str, float] = field(default_factory=dict, repr=False)
    ranges: tuple[tuple[float, float], ...] = field(default=(), repr=False)

    @property
    def expr(self) -> Any:
        """The SymPy expression of a formula with one output."""
        if len(self.exprs) != 1:
            raise ConfigError(f"This formula has {len(self.exprs)} outputs: use exprs.")
        return self.exprs[0]

    @property
    def symbols(self) -> tuple[Any, ...]:
        """The SymPy symbols of the inputs: x_1, x_2, ..."""
        return input_symbols(len(self.names))

    @property
    def complexity(self) -> int:
        """How many operations, functions, constants and variables it is written with."""
        import sympy

        return sum(1 for e in self.exprs for _ in sympy.preorder_traversal(e))

    @property
    def r2(self) -> float:
        """The share of the variance of held-out y that it explains."""
        if self.spread == 0:
            return 1.0 if self.rmse == 0 else -math.inf
        share = self.rmse / self.spread
        return 1 - share * share

    @property
    def verified(self) -> bool:
        """Whether it was seen to be exact, on rows that it was not fitted to.

        It errs by no more than rounding on the rows held out; and refitted to the inner rows, it
        goes on to the outermost ones. Nothing numeric is in it.
        """
        size = self.spread or 1.0
        return not self.numeric and self.rmse <= _EXACT * size and self.extrapolation <= _FAR * size

    def gaps(self, *, beyond: float = 0.25) -> tuple[str, ...]:
        """Say where it has a pole or no value: between the rows, and outside of their range.

        Outside, there is no row to compare with; this is what can be known there.

        Args:
            beyond: How much further each input goes on both sides, as a share of its range; one
                that is positive stays so.

        Returns:
            Sentences; none if it has a value everywhere that was looked at.

        Example:
            >>> y = 1 / (1.1 - x[:, 0].abs())
            >>> ew.discover(x[:, :1].abs(), y, progress=False).best.gaps()
            ('1/(11/10 - x_1) has a pole beyond the range of the rows.',)
        """
        if not self.ranges:
            return ()
        return tuple(s for e in self.exprs for s in gaps(e, self.symbols, self.ranges, beyond))

    def latex(self, names: Sequence[str] | None = None) -> str:
        """Write it in LaTeX, numbers to six digits, with names for the inputs.

        Args:
            names: What the inputs are called; by default the formula's names.

        Returns:
            An expression for one output, or an `aligned` block for several.
        """
        import sympy

        named = {
            symbol: rf"\mathrm{{{escape(name)}}}"
            for symbol, name in zip(self.symbols, self._names(names), strict=True)
            if name != symbol.name
        }
        lines = [sympy.latex(shorten(e), symbol_names=named) for e in self.exprs]
        if len(lines) == 1:
            return lines[0]
        rows = r" \\ ".join(f"y_{{{n}}} &= {line}" for n, line in enumerate(lines, 1))
        return rf"\begin{{aligned}} {rows} \end{{aligned}}"

    def to_python(self, *, name: str = "formula") -> str:
        """Write it as a Python function that needs nothing but `math`: see `export.to_python`."""
        return to_python(self._outputs, self.symbols, names=self.names, name=name)

    def to_c(self, *, name: str = "formula") -> str:
        """Write it as a C99 function that needs nothing but math.h: see `export.to_c`."""
        return to_c(self._outputs, self.symbols, names=self.names, name=name)

    @property
    def _outputs(self) -> Any:
        return self.exprs[0] if len(self.exprs) == 1 else self.exprs

    def __call__(self, x: Any) -> Any:
        """Evaluate the formula: (batch, inputs) to (batch, outputs)."""
        if not isinstance(x, Tensor):
            given = tensor_of("x", x)
            kind = given.numpy().dtype if given.is_floating_point() else np.float64
            values = self(given.to(torch.float64))
            return values.numpy().astype(kind, copy=False)
        if x.ndim != 2 or x.shape[1] != len(self.names):
            raise ShapeError(
                f"This formula takes inputs of shape (batch, {len(self.names)}), "
                f"got {tuple(x.shape)}."
            )
        return evaluate(self.exprs, self.model, x, self.given)

    def _names(self, names: Sequence[str] | None) -> tuple[str, ...]:
        names = self.names if names is None else tuple(names)
        if len(names) != len(self.names):
            raise ConfigError(
                f"There are {len(self.names)} inputs, got {len(names)} names: {list(names)}."
            )
        return names

    def __str__(self) -> str:
        lines = []
        for n, expr in enumerate(self.exprs, 1):
            shown = str(shorten(expr))
            lines.append(shown if len(self.exprs) == 1 else f"y_{n} = {shown}")
        legend = [
            f"{symbol} = {name}"
            for symbol, name in zip(self.symbols, self.names, strict=True)
            if name != symbol.name
        ]
        if legend:
            lines.append("where " + ", ".join(legend))
        lines[-1] += f"   rmse {self.rmse:.2g}"
        if self.numeric:
            edges = ", ".join(str(edge) for edge in self.numeric[:_LISTED])
            if len(self.numeric) > _LISTED:
                edges += f" and {len(self.numeric) - _LISTED} more"
            why = "No primitive explains" if self.finished else "The search ended before"
            lines.append(f"{why} {edges}: there the formula stays numeric.")
        if self.extrapolation > max(3 * self.rmse, _FAR * (self.spread or 1.0)):
            lines.append(
                f"Refitted to the inner rows, it misses the outermost by {self.extrapolation:.2g}: "
                "do not trust it outside."
            )
        return "\n".join(lines)


def evaluate(
    exprs: tuple[Any, ...],
    model: KAN | None,
    x: Tensor,
    given: Mapping[str, float] = MappingProxyType({}),
) -> Tensor:
    """Evaluate expressions; or the network, where they have functions that only it can compute.

    It works in the network's precision and gives that of x. Where there is no value, it is NaN.
    """
    own = torch.float64 if model is None else model.dtype
    kind = x.dtype if x.is_floating_point() else own
    x = x.to(own)
    if model is not None and (numeric_edges(model) or not _are_known(exprs)):
        return model(x).to(kind)
    import sympy

    symbols = input_symbols(x.shape[1])
    outputs = []
    values = {sympy.Symbol(name, positive=True): value for name, value in given.items()}
    for expr in exprs:
        expr = expr.xreplace({s: sympy.Float(v, 17) for s, v in values.items()}) if values else expr
        value = sympy.lambdify(symbols, expr, modules=[_FUNCTIONS, "numpy"])(*x.unbind(1))
        outputs.append(torch.as_tensor(value, dtype=x.dtype, device=x.device).expand(len(x)))
    return torch.stack(outputs, -1).to(kind)


def _are_known(exprs: tuple[Any, ...]) -> bool:
    """Whether torch has all functions: those of a user's primitives it may not."""
    import sympy

    plain = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Number, sympy.NumberSymbol, sympy.Symbol)
    parts = (part for expr in exprs for part in sympy.preorder_traversal(expr))
    return all(isinstance(part, plain) or part.func.__name__ in _KNOWN for part in parts)


_KNOWN = {
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "atanh"),
    *("exp", "log", "erf", "Abs", "sign"),
}


def _of_numbers_too(name: str) -> Any:
    """A function of tensors, and of the numbers that stand in a formula."""

    def call(u: Any) -> Any:
        return getattr(torch, name)(torch.as_tensor(u, dtype=torch.float64))

    return call


_FUNCTIONS = {
    name: _of_numbers_too(name)
    for name in (
        *("sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arctanh"),
        *("exp", "log", "erf", "sqrt", "abs", "sign"),
    )
}
"""By the names that SymPy gives them in code for NumPy."""


def shorten(expr: Any, digits: int = 6) -> Any:
    """Round the floating-point numbers of an expression for print."""
    import sympy

    return expr.xreplace({f: sympy.Float(f, digits) for f in expr.atoms(sympy.Float)})


def input_symbols(count: int) -> tuple[Any, ...]:
    """The SymPy symbols x_1, x_2, ... of the inputs; real, as data are."""
    import sympy

    return tuple(sympy.Symbol(f"x_{i + 1}", real=True) for i in range(count))


def write(model: KAN, exact: dict[Place, Exact]) -> tuple[Any, ...]:
    """Write a network as SymPy expressions, one for each output."""
    import sympy

    values = list(input_symbols(model.in_features))
    for depth, (layer, nodes) in enumerate(model.parts()):
        sums = [sympy.Integer(0)] * layer.out_features
        for (o, i), lock in layer.locked():
            a, b, c, d = _numbers(lock, Edge(depth, i, o), exact)
            sums[o] += c * lock.primitive.sympy(a * values[i] + b) + d
        for o, i in layer.mask.nonzero().tolist():
            sums[o] += sympy.Function(f"phi_{depth}_{i}_{o}", real=True)(values[i])
        values = [sympy.Mul(*(sums[j] for j in nodes.sums_of(n))) for n in range(len(nodes))]
    return tuple(values)


def _numbers(lock: Lock, edge: Edge, exact: dict[Place, Exact]) -> list[Any]:
    import sympy

    numbers = []
    for place, value in enumerate(lock.constants.tolist()):
        if Place(edge, place) in exact:
            numbers.append(exact[Place(edge, place)].sympy())
        elif not bool(lock.free[place]) and value in (-1.0, 0.0, 1.0):
            numbers.append(sympy.Integer(int(value)))
        else:
            numbers.append(sympy.Float(value, 17))
    return numbers


def escape(name: str) -> str:
    """Write a name so that LaTeX prints it as it is."""
    escapes = {"\\": r"\backslash ", "{": r"\{", "}": r"\}", "_": r"\_", "^": r"\hat{}", " ": r"\ "}
    escapes |= {c: "\\" + c for c in "#$%&"} | {"~": r"\sim "}
    return "".join(escapes.get(c, c) for c in name)
