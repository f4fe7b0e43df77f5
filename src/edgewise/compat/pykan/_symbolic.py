"""Functions on edges: search, fix, set free, and read the formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._primitives import Library
from edgewise._symbolic._match import match_all
from edgewise.compat.pykan._utils import fit_params
from edgewise.compat.pykan._words import SYMBOLIC_LIB, primitive

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN

_RANGE = (-10, 10)
_POINTS = 300
_NOTHING = 1e-6
_POLYNOMIALS = ("x", "x^2", "x^3", "x^4", "x^5")


def _bits(r2: Any) -> Any:
    """The unexplained variance in bits, down to what a fine spline leaves."""
    return np.log2(1 + 1e-10 - r2)


def _same(c: Any) -> Any:
    return c


def fix_symbolic(
    self: MultKAN,
    l: int,
    i: int,
    j: int,
    fun_name: Any,
    fit_params_bool: bool = True,
    a_range: tuple[float, float] = _RANGE,
    b_range: tuple[float, float] = _RANGE,
    verbose: bool = True,
    random: bool = False,
    log_history: bool = True,
) -> Tensor | None:
    """Let an edge be c f(a x + b) + d from now on, in place.

    Args:
        l: The layer.
        i: The input.
        j: The output (a subnode).
        fun_name: A name of the library, or an elementwise torch function.
        fit_params_bool: Fit the constants to the edge as it is; otherwise they are 1, 0, 1, 0.
        a_range: Where a is looked for to begin with.
        b_range: Where b is looked for to begin with.
        verbose: Print how good the fit is.
        random: Without a fit, draw the constants from [-1, 1].
        log_history: Whether to keep the state.

    Returns:
        The coefficient of determination; None without a fit.
    """
    self.check_edge(l, i, j)
    symbolic = self.parts()[l][1]
    if not fit_params_bool:
        symbolic.fix_symbolic(i, j, fun_name, random=random)
        r2 = None
    else:
        x, y = self.edge_values(l, i, j)
        symbolic.set_function(i, j, fun_name)
        constants, share = _fit(
            symbolic.funs_name[j][i], symbolic.funs[j][i], x, y, a_range, b_range
        )
        symbolic.affine.data[j, i] = torch.tensor(constants).to(symbolic.affine)
        r2 = torch.tensor(share).to(symbolic.affine)
        if verbose:
            print(f"r2 is {share}")
            if share < 0.9:
                print("r2 is not very high: check that this is the right function.")
    self.set_mode(l, i, j, mode="s")
    self.fresh = False
    if log_history:
        self.log_history("fix_symbolic")
    return r2


def _fit(
    name: str,
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    a_range: tuple[float, float],
    b_range: tuple[float, float],
) -> tuple[tuple[float, ...], float]:
    """Fit a function's constants to points; its share of their variance."""
    x, y = x.detach().double().cpu(), y.detach().double().cpu()
    order = x.argsort()
    some = torch.linspace(0, len(x) - 1, min(_POINTS, len(x))).round().long()
    x, y = x[order[some]], y[order[some]]
    spread = float(y.std()) if len(y) > 1 else 0.0
    if name == "0" or spread <= 1e-14 * float(y.abs().max().clamp_min(1e-300)):
        share = 0.0 if spread > 0 else 1.0
        return (0.0 if name == "0" else 1.0, 0.0, 0.0, float(y.mean())), share
    found: list[tuple[tuple[float, ...], float]] = []
    if name in SYMBOLIC_LIB and SYMBOLIC_LIB[name][0] is function:
        matches = match_all(x, y, Library([primitive(name)]))
        found.extend((match.constants, match.r2) for match in matches)
    default = tuple(a_range) == _RANGE and tuple(b_range) == _RANGE
    if not found or not default:
        try:
            constants, r2 = fit_params(x, y, function, a_range, b_range, verbose=False)
            found.append((tuple(constants.tolist()), float(r2)))
        except ConfigError:
            if not found:
                raise
    return max(found, key=lambda pair: pair[1])


def unfix_symbolic(
    self: MultKAN,
    l: int,
    i: int,
    j: int,
    log_history: bool = True,
) -> None:
    """Let an edge be its spline again, in place."""
    self.set_mode(l, i, j, mode="n")
    self.parts()[l][1].set_function(i, j, "0")
    if log_history:
        self.log_history("unfix_symbolic")


def unfix_symbolic_all(self: MultKAN, log_history: bool = True) -> None:
    """Let all edges that are functions be their splines again; edges that are off stay off."""
    for layer, (_, symbolic) in enumerate(self.parts()):
        for j, i in symbolic.active():
            unfix_symbolic(self, layer, i, j, log_history=False)
    if log_history:
        self.log_history("unfix_symbolic_all")


def _library(lib: Sequence[str] | None) -> dict[str, Any]:
    unknown = [name for name in lib or () if name not in SYMBOLIC_LIB]
    if unknown:
        raise ConfigError(
            f"There are no functions {unknown} in the library. Known are: "
            f"{', '.join(SYMBOLIC_LIB)}. Add your own with add_symbolic(name, function)."
        )
    return {name: SYMBOLIC_LIB[name] for name in (SYMBOLIC_LIB if lib is None else lib)}


def suggest_symbolic(
    self: MultKAN,
    l: int,
    i: int,
    j: int,
    a_range: tuple[float, float] = _RANGE,
    b_range: tuple[float, float] = _RANGE,
    lib: Sequence[str] | None = None,
    topk: int = 5,
    verbose: bool = True,
    r2_loss_fun: Callable[[Any], Any] = _bits,
    c_loss_fun: Callable[[Any], Any] = _same,
    weight_simple: float = 0.8,
) -> tuple[str, Any, float, float]:
    """Rank the functions of the library for an edge, which stays as it is.

    The rank is `weight_simple` times the complexity, plus the rest times the bits of variance that
    are not explained. An edge that carries something is never ranked as "0".

    Args:
        l: The layer.
        i: The input.
        j: The output (a subnode).
        a_range: Where a of c f(a x + b) + d is looked for to begin with.
        b_range: Where b is looked for to begin with.
        lib: Names of the library; all by default.
        topk: How many are printed.
        verbose: Print the table.
        r2_loss_fun: What is paid for a coefficient of determination.
        c_loss_fun: What is paid for a complexity.
        weight_simple: How much simplicity counts, 0 to 1.

    Returns:
        The best function's name, its entry in the library, its coefficient of determination and its
        complexity.
    """
    x, y = self.edge_values(l, i, j)
    words = _library(lib)
    node = self.subnode_actscale[l][j]
    nothing = float(y.std()) <= _NOTHING * float(node.clamp_min(1e-300))
    rows = []
    for name, word in words.items():
        try:
            _, r2 = _fit(name, word[0], x, y, a_range, b_range)
        except ConfigError:  # no finite values
            continue
        r2 = min(r2, 1.0)
        paid = float(r2_loss_fun(np.array([r2]))[0]), float(c_loss_fun(np.array([word[2]]))[0])
        total = weight_simple * paid[1] + (1 - weight_simple) * paid[0]
        rank = total if name != "0" else (-np.inf if nothing else np.inf)
        rows.append((rank, name, r2, paid[0], word[2], paid[1], total))
    if not rows:
        raise ConfigError("No function of the library has finite values on this edge.")
    rows.sort(key=lambda row: row[0])
    if verbose:
        print(_table(rows[:topk]))
    _, name, r2, _, c, _, _ = rows[0]
    return name, words[name], r2, c


def _table(rows: list[Any]) -> str:
    heads = ("function", "fitting r2", "r2 loss", "complexity", "complexity loss", "total loss")
    lines = ["  " + " ".join(f"{head:>15}" for head in heads)]
    for place, (_, name, r2, bits, c, paid, total) in enumerate(rows):
        lines.append(f"{place:<2}{name:>15} {r2:15.8f} {bits:15.6f} {c:15} {paid:15} {total:15.6f}")
    return "\n".join(lines)


def auto_symbolic(
    self: MultKAN,
    a_range: tuple[float, float] = _RANGE,
    b_range: tuple[float, float] = _RANGE,
    lib: Sequence[str] | None = None,
    verbose: int = 1,
    weight_simple: float = 0.8,
    r2_threshold: float = 0.0,
) -> None:
    """Fix each numeric edge to its best function, in place, from the inputs on.

    Args:
        a_range: Where a of c f(a x + b) + d is looked for to begin with.
        b_range: Where b is looked for to begin with.
        lib: Names of the library; all by default.
        verbose: 1 prints a line for each edge, 2 prints more.
        weight_simple: How much simplicity counts, 0 to 1.
        r2_threshold: Edges whose best function explains less stay numeric.
    """

    def say(text: str) -> None:
        if verbose >= 1:
            print(text)

    ranges: dict[str, Any] = {"a_range": a_range, "b_range": b_range}
    for layer, (act, symbolic) in enumerate(self.parts()):
        for i in range(act.in_dim):
            for j in range(act.out_dim):
                place = f"({layer},{i},{j})"
                numeric, fixed = act.mask[i, j] != 0, symbolic.mask[j, i] != 0
                if fixed and not numeric:
                    say(f"skipping {place} since already symbolic")
                elif not fixed and not numeric:
                    fix_symbolic(self, layer, i, j, "0", verbose=False, log_history=False)
                    symbolic.affine.data[j, i] = 0.0
                    say(f"fixing {place} with 0")
                else:
                    name, _, r2, c = suggest_symbolic(
                        self,
                        layer,
                        i,
                        j,
                        lib=lib,
                        verbose=False,
                        weight_simple=weight_simple,
                        **ranges,
                    )
                    if r2 >= r2_threshold:
                        fix_symbolic(
                            self,
                            layer,
                            i,
                            j,
                            name,
                            verbose=verbose > 1,
                            log_history=False,
                            **ranges,
                        )
                        say(f"fixing {place} with {name}, r2={r2}, c={c}")
                    else:
                        say(
                            f"leaving {place} numeric: the best fit, {name}, has r2={r2}, less "
                            f"than {r2_threshold}"
                        )
    self.log_history("auto_symbolic")


def symbolic_formula(
    self: MultKAN,
    var: Sequence[Any] | None = None,
    normalizer: Sequence[Any] | None = None,
    output_normalizer: Sequence[Any] | None = None,
) -> tuple[list[Any], list[Any]]:
    """Give the formula of a network whose edges are functions.

    Args:
        var: Names or SymPy expressions of the inputs; x_1, x_2, ... if not given.
        normalizer: Means and standard deviations that the inputs were normalized with.
        output_normalizer: The same for the outputs.

    Returns:
        SymPy expressions of the outputs, and the variables.

    Raises:
        ConfigError: If an edge is a spline, which has no formula; or the number of variables, means
            or deviations is another than that of inputs or outputs.
    """
    import sympy

    inputs, outputs = self.width_in[0], self.width_in[-1]
    if var is None:
        x0 = [sympy.Symbol(f"x_{i + 1}") for i in range(inputs)]
    else:
        x0 = [sympy.Symbol(name) if isinstance(name, str) else name for name in var]
    _count("var", x0, inputs)
    splines = [
        f"({layer},{i},{j})"
        for layer, (act, _) in enumerate(self.parts())
        for i, j in (act.mask != 0).nonzero().tolist()
    ]
    if splines:
        raise ConfigError(
            f"These edges are splines, which have no formula: {', '.join(splines)}. Fix them first "
            "with auto_symbolic() or fix_symbolic(l, i, j, name), or remove them."
        )
    x = list(x0)
    if normalizer is not None:
        x = _normalized(x, normalizer, inputs, lambda v, m, s: (v - m) / s)
    self.symbolic_acts, self.symbolic_acts_premult = [x], []
    for layer, (_, symbolic) in enumerate(self.parts()):
        y: list[Any] = [sympy.Float(0) * 0 for _ in range(symbolic.out_dim)]
        for j, i in symbolic.active():
            if symbolic.funs_name[j][i] == "0":
                y[j] += _number(symbolic.mask[j, i] * symbolic.affine[j, i, 3])
                continue
            a, b, c, d = (_number(v) for v in symbolic.affine[j, i])
            value = c * symbolic.funs_sympy[j][i](a * x[i] + b)
            if symbolic.funs_name[j][i] in _POLYNOMIALS:  # one number for each power
                value = sympy.expand(value, deep=False)
            y[j] += _number(symbolic.mask[j, i]) * (value + d)
        y = [
            _affine(*terms)
            for terms in zip(y, self.subnode_scale[layer], self.subnode_bias[layer], strict=True)
        ]
        self.symbolic_acts_premult.append(y)
        sums = self.width[layer + 1][0]
        nodes, at = y[:sums], sums
        for arity in self.arities(layer + 1):
            nodes.append(sympy.Mul(*y[at : at + arity]))
            at += arity
        x = [
            _affine(*terms)
            for terms in zip(nodes, self.node_scale[layer], self.node_bias[layer], strict=True)
        ]
        self.symbolic_acts.append(x)
    if output_normalizer is not None:
        x = _normalized(x, output_normalizer, outputs, lambda v, m, s: v * s + m)
        self.symbolic_acts[-1] = x
    return x, x0


def _number(value: Tensor) -> Any:
    """A number as exactly as it is known; whole ones as integers, so that 1 and 0 vanish."""
    import sympy

    plain = value.item()
    return sympy.Integer(int(plain)) if plain in (0.0, 1.0, -1.0) else sympy.Float(plain)


def _affine(value: Any, scale: Tensor, bias: Tensor) -> Any:
    return _number(scale) * value + _number(bias)


def _count(name: str, values: Sequence[Any], count: int) -> None:
    if len(values) != count:
        raise ConfigError(f"{name} has {len(values)} items, and the network needs {count}.")


def _normalized(
    values: list[Any], pair: Sequence[Any], count: int, change: Callable[..., Any]
) -> list[Any]:
    means, deviations = ([float(v) for v in part] for part in pair)
    _count("The means", means, count)
    _count("The standard deviations", deviations, count)
    return [change(*terms) for terms in zip(values, means, deviations, strict=True)]
