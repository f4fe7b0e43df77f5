"""pykan's library of functions, with twins that stay finite, and the user's own."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._primitives import PRIMITIVES, Primitive, _sympy, power

Guarded: TypeAlias = Callable[[Tensor, Any], tuple[Any, Tensor]]


def _bound(y_th: Any, x: Tensor) -> Tensor:
    return torch.as_tensor(y_th, dtype=x.dtype, device=x.device)


def _inside(
    x: Tensor, bad: Tensor, inner: Tensor, good: Any, call: Callable[..., Tensor]
) -> Tensor:
    """Take `inner` where it is bad, the function elsewhere; no gradient comes through the other.

    Masking values alone would let NaN through in the gradient: 0 times infinity.
    """
    good = torch.as_tensor(good, dtype=x.dtype, device=x.device)
    return torch.where(bad, inner, call(torch.where(bad, good, x)))


def _inverse(order: int) -> Guarded:
    def guarded(x: Tensor, y_th: Any) -> tuple[Tensor, Tensor]:
        y = _bound(y_th, x)
        x_th = y ** (-1 / order)
        inner = y / x_th * x if order % 2 else y.expand_as(x)
        return x_th, _inside(x, x.abs() < x_th, inner, 1.0, lambda u: u**-order)

    return guarded


f_inv, f_inv2, f_inv3, f_inv4, f_inv5 = (_inverse(order) for order in range(1, 6))


def f_sqrt(x: Tensor, y_th: Any) -> tuple[Tensor, Tensor]:
    """Take the root of |x| with the sign of x; a line where its slope would pass y_th."""
    y = _bound(y_th, x)
    x_th = y**-2
    root = lambda u: u.abs().sqrt() * u.sign()  # noqa: E731
    return x_th, _inside(x, x.abs() < x_th, y * x, 1.0, root)


def f_power1d5(x: Tensor, y_th: Any) -> tuple[tuple[()], Tensor]:
    """Take |x| to the power 1.5, which is finite everywhere."""
    return (), x.abs() ** 1.5


def f_invsqrt(x: Tensor, y_th: Any) -> tuple[Tensor, Tensor]:
    """Divide 1 by the root of |x|, up to y_th."""
    y = _bound(y_th, x)
    x_th = y**-2
    return x_th, _inside(x, x.abs() < x_th, y.expand_as(x), 1.0, lambda u: u.abs().rsqrt())


def f_log(x: Tensor, y_th: Any) -> tuple[Tensor, Tensor]:
    """Take the logarithm of |x|, down to -y_th."""
    y = _bound(y_th, x)
    x_th = torch.exp(-y)
    return x_th, _inside(x, x.abs() <= x_th, -y.expand_as(x), 1.0, lambda u: u.abs().log())


def f_tan(x: Tensor, y_th: Any) -> tuple[Tensor, Tensor]:
    """Take the tangent; a falling line from y_th to -y_th through each pole."""
    y = _bound(y_th, x)
    turn, delta = torch.remainder(x, math.pi) - math.pi / 2, math.pi / 2 - torch.atan(y)
    near = turn.abs() < delta
    tangent = torch.where(near, torch.ones_like(x), x).tan()
    return delta, torch.where(near, -y / delta * turn, tangent)


def f_arctanh(x: Tensor, y_th: Any) -> tuple[Tensor, Tensor]:
    """Take the inverse hyperbolic tangent, between -y_th and y_th, outside (-1, 1), too."""
    limit = torch.tanh(_bound(y_th, x)).clamp(max=1 - torch.finfo(x.dtype).eps)
    far = limit.atanh() * x.sign()
    return 1 - limit, _inside(x, x.abs() >= limit, far, 0.0, torch.atanh)


def f_arcsin(x: Tensor, y_th: Any) -> tuple[tuple[()], Tensor]:
    """Take the arc sine, and its end values outside [-1, 1]."""
    return (), _inside(x, x.abs() >= 1, math.pi / 2 * x.sign(), 0.0, torch.asin)


def f_arccos(x: Tensor, y_th: Any) -> tuple[tuple[()], Tensor]:
    """Take the arc cosine, and its end values outside [-1, 1]."""
    return (), _inside(x, x.abs() >= 1, math.pi / 2 * (1 - x.sign()), 0.0, torch.acos)


def f_exp(x: Tensor, y_th: Any) -> tuple[Tensor, Tensor]:
    """Take the exponential, up to y_th."""
    y = _bound(y_th, x)
    x_th = y.log()
    return x_th, _inside(x, x > x_th, y.expand_as(x), 0.0, torch.exp)


def _finite(function: Callable[[Tensor], Tensor]) -> Guarded:
    return lambda x, y_th: ((), function(x))


def _root(u: Any) -> Any:
    return _sympy("sqrt")(u)


def _word(
    function: Callable[[Tensor], Tensor],
    symbol: Callable[[Any], Any],
    complexity: float,
    guarded: Guarded | None = None,
) -> tuple[Any, Any, float, Guarded]:
    return function, symbol, complexity, guarded or _finite(function)


def _zero(u: Any) -> Any:
    return u * 0


SYMBOLIC_LIB: dict[str, tuple[Any, Any, float, Guarded]] = {
    "x": _word(lambda u: u, lambda u: u, 1),
    "x^2": _word(lambda u: u**2, lambda u: u**2, 2),
    "x^3": _word(lambda u: u**3, lambda u: u**3, 3),
    "x^4": _word(lambda u: u**4, lambda u: u**4, 3),
    "x^5": _word(lambda u: u**5, lambda u: u**5, 3),
    "1/x": _word(lambda u: 1 / u, lambda u: 1 / u, 2, f_inv),
    "1/x^2": _word(lambda u: 1 / u**2, lambda u: 1 / u**2, 2, f_inv2),
    "1/x^3": _word(lambda u: 1 / u**3, lambda u: 1 / u**3, 3, f_inv3),
    "1/x^4": _word(lambda u: 1 / u**4, lambda u: 1 / u**4, 4, f_inv4),
    "1/x^5": _word(lambda u: 1 / u**5, lambda u: 1 / u**5, 5, f_inv5),
    "sqrt": _word(torch.sqrt, _root, 2, f_sqrt),
    "x^0.5": _word(torch.sqrt, _root, 2, f_sqrt),
    "x^1.5": _word(lambda u: torch.sqrt(u) ** 3, lambda u: _root(u) ** 3, 4, f_power1d5),
    "1/sqrt(x)": _word(torch.rsqrt, lambda u: 1 / _root(u), 2, f_invsqrt),
    "1/x^0.5": _word(torch.rsqrt, lambda u: 1 / _root(u), 2, f_invsqrt),
    "exp": _word(torch.exp, _sympy("exp"), 2, f_exp),
    "log": _word(torch.log, _sympy("log"), 2, f_log),
    "abs": _word(torch.abs, _sympy("Abs"), 3),
    "sin": _word(torch.sin, _sympy("sin"), 2),
    "cos": _word(torch.cos, _sympy("cos"), 2),
    "tan": _word(torch.tan, _sympy("tan"), 3, f_tan),
    "tanh": _word(torch.tanh, _sympy("tanh"), 3),
    "sgn": _word(torch.sign, _sympy("sign"), 3),
    "arcsin": _word(torch.asin, _sympy("asin"), 4, f_arcsin),
    "arccos": _word(torch.acos, _sympy("acos"), 4, f_arccos),
    "arctan": _word(torch.atan, _sympy("atan"), 4),
    "arctanh": _word(torch.atanh, _sympy("atanh"), 4, f_arctanh),
    "0": _word(_zero, _zero, 0),
    "gaussian": _word(lambda u: torch.exp(-(u**2)), lambda u: _sympy("exp")(-(u**2)), 3),
}
"""Name: torch function, SymPy function, complexity, and a twin (x, y_th) -> (..., value) that stays
finite, with its gradient. `add_symbolic` adds to it."""

_NAMES = {"x^0.5": "sqrt", "1/sqrt(x)": "1/sqrt", "1/x^0.5": "1/sqrt", "sgn": "sign"}
_OURS = dict(SYMBOLIC_LIB)


class _Differences(torch.autograd.Function):
    """A function that torch cannot differentiate, with differences for its slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.function = function
        return function(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        h = torch.finfo(x.dtype).eps ** 0.2 * (1 + x.detach().abs() / 10)

        def at(u: Tensor) -> Tensor:  # can be differentiated again
            return _apply(u, ctx.function)

        near, far = at(x + h) - at(x - h), at(x + 2 * h) - at(x - 2 * h)
        return grads[0] * (8 * near - far) / (12 * h), None


def _apply(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    value = _Differences.apply(x, function)
    assert isinstance(value, Tensor)
    return value


def differentiable(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Give a slope to a function that torch cannot differentiate, such as its Bessel functions."""
    with torch.enable_grad():
        u = torch.linspace(0.1, 0.9, 5, requires_grad=True)
        try:
            value = function(u)
            if value.requires_grad:
                torch.autograd.grad(value.sum(), u)
                return function
        except (NotImplementedError, RuntimeError):
            pass
    return lambda x: _apply(x, function)


def add_symbolic(
    name: str,
    fun: Callable[[Tensor], Tensor],
    c: float = 1,
    fun_singularity: Callable[..., Any] | None = None,
) -> None:
    """Add a function of one variable to the library of every later search.

    Args:
        name: What it is called, in formulas, too.
        fun: An elementwise torch function.
        c: Its complexity.
        fun_singularity: A twin that stays finite: a function of x alone, or pykan's form, which
            takes (x, y_th) and returns a pair with the value at its end. `fun` if not given.

    Raises:
        ConfigError: If the name is empty or `fun` is no function.

    Example:
        >>> from edgewise.compat.pykan import SYMBOLIC_LIB, add_symbolic
        >>> add_symbolic("J0", torch.special.bessel_j0)
        >>> SYMBOLIC_LIB["J0"][3](torch.zeros(1), 10.0)[1]
        tensor([1.])
    """
    if not isinstance(name, str) or not name or not callable(fun):
        raise ConfigError(
            f"add_symbolic takes a name and a function of one tensor, got {name!r} and {fun!r}."
        )
    import sympy

    fun = differentiable(fun)
    guarded = _finite(fun) if fun_singularity is None else _as_guarded(fun_singularity)
    SYMBOLIC_LIB[name] = (fun, sympy.Function(name), c, guarded)


def _as_guarded(function: Callable[..., Any]) -> Guarded:
    """Bring a twin of the user's into pykan's form."""
    try:
        takes_bound = len(inspect.signature(function).parameters) > 1
    except ValueError:  # torch's own functions do not say what they take
        takes_bound = False

    def guarded(x: Tensor, y_th: Any) -> tuple[Any, Tensor]:
        value = function(x, y_th) if takes_bound else function(x)
        return value if isinstance(value, tuple) else ((), value)

    return guarded


def primitive(name: str, guard: float | None = None) -> Primitive:
    """Give one word of the library to the engine.

    Args:
        name: A name in `SYMBOLIC_LIB`.
        guard: With a number, the twin that stays finite, with this y_th.

    Raises:
        ConfigError: If there is no such name.
    """
    if name not in SYMBOLIC_LIB:
        raise ConfigError(
            f"There is no function {name!r} in the library. Known are: {', '.join(SYMBOLIC_LIB)}. "
            "Add your own with add_symbolic(name, function)."
        )
    function, symbol, complexity, guarded = SYMBOLIC_LIB[name]
    if guard is not None:
        return Primitive(name, lambda u: guarded(u, guard)[1], symbol, max(round(complexity), 1))
    if _OURS.get(name) is SYMBOLIC_LIB[name]:  # not replaced by the user
        ours = _NAMES.get(name, name)
        if ours in PRIMITIVES:
            return PRIMITIVES[ours]
        if name == "1/x^5":
            return power(-5)
        if name == "arccos":
            return Primitive(
                name, function, symbol, 4, (-1, 1), "none", reach=(0.05, 1.0), offsets=(0.0,)
            )
    return Primitive(name, function, symbol, max(round(complexity), 1))
