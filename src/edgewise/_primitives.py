"""The symbolic words: functions that an edge can be locked to, in torch and in SymPy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError

Interval: TypeAlias = tuple[float, float]
Gauge: TypeAlias = Literal["none", "linear", "power", "exp", "log", "odd", "even", "sine", "cosine"]


@dataclass(frozen=True)
class Primitive:
    """A one-variable function with its torch form, its SymPy form and what a search needs to know.

    An edge that is locked to it computes `c * f(a * x + b) + d`. To add one of your own, a name, a
    torch function and a SymPy function are enough.

    Args:
        name: What it is called in tables, files and `lock`.
        torch: An elementwise torch function that torch can differentiate: `lock`, `symbolize`,
            `fit` and `jet` raise a `ConfigError` if it cannot. Where there is no other way, a
            `torch.autograd.Function` gives the derivative; for second ones (`jet`, differential
            equations) its backward must be made of differentiable functions, too.
        sympy: A function from a SymPy expression to a SymPy expression.
        complexity: What a search pays for using it; the line x costs 1.
        domain: Where it is defined, as an open interval of its argument.
        gauge: Which constants are redundant: "power" makes a positive scale s of the argument the
            scale `s**degree` of the value, and "linear" any scale and shift; "exp" makes a shift a
            scale; "log" a scale a shift; "odd" and "even" make a sign of the argument a sign of the
            value or nothing; "sine" and "cosine" have in addition a period of 2 pi.
        degree: For the gauge "power", the exponent.
        reach: How strongly the argument varies over the data in the starts of a search: the half
            width of the range of `a * x + b`, smallest and largest.
        offsets: The middles of that range to start from.

    Example:
        >>> sinc = ew.Primitive("sinc", torch.sinc, lambda u: sympy.sinc(sympy.pi * u))
        >>> sinc.complexity
        3
    """

    name: str
    torch: Callable[[Tensor], Tensor]
    sympy: Callable[[Any], Any]
    complexity: int = 3
    domain: Interval = (-math.inf, math.inf)
    gauge: Gauge = "none"
    degree: float = 1.0
    reach: Interval = (0.1, 6.0)
    offsets: tuple[float, ...] = (-2.0, -1.0, -0.3, 0.0, 0.3, 1.0, 2.0)

    @property
    def constants(self) -> int:
        """How many of a, b, c, d are not redundant."""
        return {"linear": 2, "power": 3, "exp": 3, "log": 3}.get(self.gauge, 4)

    @property
    def parity(self) -> int:
        """1 for an even function, -1 for an odd one, 0 for any other."""
        u = torch.logspace(-3, 3, 100, dtype=torch.float64)
        right, left = self.torch(u), self.torch(-u)
        for sign in (1, -1):
            if torch.allclose(left, sign * right, rtol=1e-12, atol=0, equal_nan=True):
                return sign
        return 0

    def slope(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate the function and its derivative at each element of u.

        Where a finite value has an infinite slope, as a root at zero, the slope is set to 0: a
        single row there would undo what all others say of the constants.

        Raises:
            ConfigError: If torch cannot differentiate the function.
        """
        with torch.enable_grad(), self._explained():
            u = u.detach().requires_grad_()
            value = self._with_graph(u)
            (slope,) = torch.autograd.grad(value.sum(), u)
        no_slope = torch.isfinite(value) & ~torch.isfinite(slope)
        return value.detach(), torch.where(no_slope, torch.zeros_like(slope), slope)

    def derivatives(self, u: Tensor, order: int) -> Float[Tensor, "derivatives ..."]:
        """Evaluate the function and its derivatives up to `order` at each element of u.

        Where gradients are enabled, the result can be differentiated again.

        Raises:
            ConfigError: If torch cannot differentiate the function.
        """
        again = torch.is_grad_enabled() and u.requires_grad
        if order == 0:
            return self.torch(u if again else u.detach()).unsqueeze(0)
        with torch.enable_grad(), self._explained():
            if not again:
                u = u.detach().requires_grad_()
            rows = [self._with_graph(u)]
            for _ in range(order):
                slope = None
                if rows[-1].requires_grad:  # the derivative of a polynomial ends as a constant
                    (slope,) = torch.autograd.grad(
                        rows[-1].sum(), u, create_graph=True, allow_unused=True
                    )
                rows.append(torch.zeros_like(u) if slope is None else slope)
            result = torch.stack(rows)
        return result if again else result.detach()

    def _with_graph(self, u: Tensor) -> Tensor:
        """Evaluate the function at what requires gradients; so must the result."""
        value = self.torch(u)
        if not value.requires_grad:
            raise ConfigError(_advice(self.name, "what it returns is cut off from its argument"))
        return value

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say whose function it is that torch cannot differentiate."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ConfigError(_advice(self.name, str(error).partition("\n")[0])) from error


def _advice(name: str, reason: str) -> str:
    return (
        f"torch cannot differentiate the function of the primitive {name!r}: {reason}. Make it of "
        "torch's differentiable functions, not under no_grad, with .detach(), .item(), NumPy or "
        "comparisons alone, or wrap it in a torch.autograd.Function with a backward."
    )


class Library:
    """An ordered set of primitives, by name.

    Args:
        primitives: Its members.

    Example:
        >>> [p.name for p in ew.PRIMITIVES.only("x", "x^2", "sin")]
        ['x', 'x^2', 'sin']
    """

    def __init__(self, primitives: list[Primitive]) -> None:
        self._by_name = {p.name: p for p in primitives}

    def __getitem__(self, name: str) -> Primitive:
        if name not in self._by_name:
            raise ConfigError(
                f"There is no primitive {name!r}. Known are: {', '.join(self._by_name)}. "
                "Pass a Primitive of your own to use another."
            )
        return self._by_name[name]

    def __iter__(self) -> Iterator[Primitive]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def only(self, *names: str) -> Library:
        """Take the primitives of these names, in this order."""
        return Library([self[name] for name in names])

    def plus(self, *primitives: Primitive) -> Library:
        """Add primitives, or replace those of the same name."""
        return Library([*{**self._by_name, **{p.name: p for p in primitives}}.values()])


def _sympy(name: str) -> Callable[[Any], Any]:
    def call(u: Any) -> Any:
        import sympy

        return getattr(sympy, name)(u)

    return call


def power(exponent: float | Fraction) -> Primitive:
    """Make the primitive that is a power, with any exponent but 0 and 1.

    A power that stands in `PRIMITIVES` is taken from there. The others are called `x^7`, `1/x^5`,
    `x^(2/3)` or `x^0.37`; `lock`, `load` and `compile_formula` know them by these names.

    Args:
        exponent: A whole number, a fraction, or a float, which stays one unless it is a fraction
            with a denominator up to 12.

    Returns:
        The primitive. With a whole exponent it is defined for every argument (but 0 where it is
        negative), with any other for positive ones.

    Raises:
        ConfigError: If the exponent is 0, 1 or not finite.

    Example:
        >>> ew.power(7).name, ew.power(-5).name, ew.power(2 / 3).name, ew.power(0.5).name
        ('x^7', '1/x^5', 'x^(2/3)', 'sqrt')
    """
    exponent = _plain(exponent)
    if exponent in (0, 1) or not math.isfinite(exponent):
        raise ConfigError(f"A power has a finite exponent other than 0 and 1, got {exponent}.")
    for known in PRIMITIVES:
        is_power = known.gauge == "power" and known.name not in ("abs", "sign")
        if is_power and _plain(known.degree) == exponent:
            return known
    return _power(exponent, _name_of_power(exponent))


def find(name: str, library: Library) -> Primitive | None:
    """Look a name up in a library; powers are known without it."""
    if name in library:
        return library[name]
    written = re.fullmatch(r"(1/)?x\^(?:\((\d+/\d+)\)|(\d+(?:\.\d+)?(?:e[-+]?\d+)?))", name)
    if written is None:
        return None
    under, fraction, number = written.groups()
    size = Fraction(fraction) if fraction else _plain(float(number))
    size = -size if under else size
    if size in (0, 1) or _name_of_power(size) != name:
        return None
    return power(size)


def _plain(exponent: float | Fraction) -> float | Fraction:
    """An exponent as a fraction, if it is a plain one."""
    if not math.isfinite(exponent):
        return float(exponent)
    if isinstance(exponent, Fraction):
        return exponent
    fraction = Fraction(exponent).limit_denominator(12)
    return fraction if float(fraction) == float(exponent) else float(exponent)


def _name_of_power(exponent: float | Fraction) -> str:
    size = abs(exponent)
    if isinstance(size, float):
        written = repr(size)
    else:
        written = str(size) if size.denominator == 1 else f"({size})"
    return f"x^{written}" if exponent > 0 else f"1/x^{written}"


def _power(exponent: float | Fraction, name: str, complexity: int | None = None) -> Primitive:
    whole = isinstance(exponent, Fraction) and exponent.denominator == 1
    # torch takes whole exponents of 64 bits; a float of that size is whole and even
    number = int(exponent) if whole and abs(exponent) < 2**63 else float(exponent)

    def exact(u: Any) -> Any:
        import sympy

        if isinstance(exponent, Fraction):
            return u ** sympy.Rational(exponent.numerator, exponent.denominator)
        return u ** sympy.Float(exponent, 17)

    return Primitive(
        name,
        lambda u: u**number,
        exact,
        min(2 + math.ceil(abs(exponent)), 5) if complexity is None else complexity,
        (-math.inf, math.inf) if whole and exponent > 0 else (0.0, math.inf),
        "power",
        float(number),
        (1.0, 1.0),
        (0.0, 0.5, -0.5, 1.5, -1.5, 3.0, -3.0) if whole and exponent > 0 else _AWAY,
    )


def _gaussian(u: Any) -> Any:
    import sympy

    return sympy.exp(-(u**2))


def _sigmoid(u: Any) -> Any:
    import sympy

    return 1 / (1 + sympy.exp(-u))


# starts for functions of a positive argument: the range is offset - 1 to offset + 1
_AWAY = (1.0001, 1.01, 1.1, 1.5, 3.0, 10.0)
_WAVES = (0.3, 40.0)
_PHASES = tuple(math.pi * i / 4 for i in range(8))
_UNIT = (0.1, 0.9999)
_KINKS = (0.0, 0.2, -0.2, 0.4, -0.4, 0.6, -0.6, 0.8, -0.8)

PRIMITIVES = Library(
    [
        Primitive("x", lambda u: 1 * u, lambda u: u, 1, gauge="linear", reach=(1, 1), offsets=(0,)),
        _power(Fraction(2), "x^2", 2),
        _power(Fraction(3), "x^3", 3),
        _power(Fraction(4), "x^4", 3),
        _power(Fraction(5), "x^5", 4),
        _power(Fraction(-1), "1/x", 2),
        _power(Fraction(-2), "1/x^2", 3),
        _power(Fraction(-3), "1/x^3", 4),
        _power(Fraction(-4), "1/x^4", 4),
        _power(Fraction(1, 2), "sqrt", 2),
        _power(Fraction(-1, 2), "1/sqrt", 3),
        _power(Fraction(3, 2), "x^1.5", 4),
        _power(Fraction(1, 3), "cbrt", 4),
        Primitive("exp", torch.exp, _sympy("exp"), 2, gauge="exp", offsets=(0.0,)),
        Primitive(
            "log", torch.log, _sympy("log"), 2, (0, math.inf), "log", reach=(1, 1), offsets=_AWAY
        ),
        Primitive("sin", torch.sin, _sympy("sin"), 2, gauge="sine", reach=_WAVES, offsets=_PHASES),
        Primitive(
            "cos", torch.cos, _sympy("cos"), 2, gauge="cosine", reach=_WAVES, offsets=_PHASES
        ),
        Primitive(
            "tan",
            torch.tan,
            _sympy("tan"),
            3,
            (-math.pi / 2, math.pi / 2),
            "odd",
            reach=(0.2, 1.56),
            offsets=(0.0, 0.5, -0.5),
        ),
        Primitive("tanh", torch.tanh, _sympy("tanh"), 3, gauge="odd"),
        Primitive("sinh", torch.sinh, _sympy("sinh"), 3, gauge="odd"),
        Primitive("cosh", torch.cosh, _sympy("cosh"), 3, gauge="even"),
        Primitive("arctan", torch.atan, _sympy("atan"), 3, gauge="odd"),
        Primitive(
            "arcsin", torch.asin, _sympy("asin"), 4, (-1, 1), "odd", reach=_UNIT, offsets=(0.0,)
        ),
        Primitive(
            "arctanh", torch.atanh, _sympy("atanh"), 4, (-1, 1), "odd", reach=_UNIT, offsets=(0.0,)
        ),
        Primitive("sigmoid", torch.sigmoid, _sigmoid, 3),
        Primitive("gaussian", lambda u: torch.exp(-(u**2)), _gaussian, 3, gauge="even"),
        Primitive("erf", torch.erf, _sympy("erf"), 4, gauge="odd"),
        Primitive("abs", torch.abs, _sympy("Abs"), 2, gauge="power", reach=(1, 1), offsets=_KINKS),
        Primitive(
            "sign",
            torch.sign,
            _sympy("sign"),
            3,
            gauge="power",
            degree=0,
            reach=(1, 1),
            offsets=_KINKS,
        ),
    ]
)
"""The library that `suggest` and `symbolize` search by default."""
