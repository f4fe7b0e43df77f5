"""The sum of two locked edges as one, where two functions of their kind make one of a kind."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

import torch

from edgewise._layer import Lock
from edgewise._primitives import PRIMITIVES, Primitive

_CLOSE = 1e3
"""How many roundings constants may differ by and still be the same."""
_STEEP = 300.0
"""The logarithm of a number that is not too large to count with."""


def sum_of_locks(first: Lock, second: Lock) -> Lock | None:
    r"""Write :math:`c_1 f(a_1 u + b_1) + d_1 + c_2 g(a_2 u + b_2) + d_2` as one lock.

    That can be done for constants, lines and squares; for waves of one frequency, exponentials of
    one rate, logarithms and powers with one zero; and where the arguments are the same, or have
    other signs in an even or an odd function. Else the result is None.
    """
    for one, other in ((first, second), (second, first)):
        a, b, c, d = one.constants.tolist()
        if a == 0 or c == 0:
            level = d if c == 0 else c * float(one.primitive.torch(one.constants[1])) + d
            *varying, offset = other.constants.tolist()
            return _lock(other.primitive, [*varying, offset + level], first, second)
    polynomial = _polynomial(first, second)
    if polynomial is not None:
        return polynomial
    f, g = first.primitive, second.primitive
    waves = {f.gauge, g.gauge} <= {"sine", "cosine"}
    if f != g and not waves:
        return None
    (a, b, c, d), (p, q, r, s) = first.constants.tolist(), second.constants.tolist()
    close = _CLOSE * torch.finfo(first.constants.dtype).eps
    if waves:
        found = _wave(f, g, (a, b, c), (p, q, r), close)
        return None if found is None else _lock(f, [*found, d + s], first, second)
    same = math.isclose(q * a, p * b, rel_tol=close, abs_tol=close * abs(a * p))  # one zero
    ratio = p / a
    more = 0.0
    if abs(ratio - 1) <= close and f.gauge == "exp" and abs(q - b) < _STEEP:
        factor = math.exp(q - b)
    elif abs(ratio - 1) <= close and same:
        factor = 1.0
    elif abs(ratio + 1) <= close and same and f.parity:
        factor = float(f.parity)
    elif same and f.gauge == "power" and (ratio > 0 or f.parity):
        factor = abs(ratio) ** f.degree * (f.parity if ratio < 0 else 1)
    elif same and f.gauge == "log" and ratio > 0:
        factor, more = 1.0, r * math.log(ratio)
    else:
        return None
    return _lock(f, [a, b, c + r * factor, d + s + more], first, second)


def _polynomial(first: Lock, second: Lock) -> Lock | None:
    """The sum of lines and squares: a square again, or a line."""
    total = [0.0, 0.0, 0.0]
    for lock in (first, second):
        a, b, c, d = lock.constants.tolist()
        if lock.primitive == PRIMITIVES["x"]:
            terms = (c * b + d, c * a, 0.0)
        elif lock.primitive == PRIMITIVES["x^2"]:
            terms = (c * b * b + d, 2 * c * a * b, c * a * a)
        else:
            return None
        total = [have + term for have, term in zip(total, terms, strict=True)]
    level, slope, bend = total
    if bend == 0:
        return _lock(PRIMITIVES["x"], [1.0, 0.0, slope, level], first, second)
    middle = slope / (2 * bend)
    return _lock(PRIMITIVES["x^2"], [1.0, middle, bend, level - bend * middle**2], first, second)


def _wave(
    f: Primitive,
    g: Primitive,
    first: tuple[float, float, float],
    second: tuple[float, float, float],
    close: float,
) -> list[float] | None:
    """a, b, c of the sum of two waves of one frequency, as one of the first kind."""
    (a, b, c), (p, q, r) = first, second
    if not math.isclose(abs(a), abs(p), rel_tol=close):
        return None
    if a * p < 0:
        q, r = -q, r * g.parity
    late = math.pi / 2 * ((g.gauge == "cosine") - (f.gauge == "cosine"))  # cos u = sin(u + pi/2)
    turned = c + r * cmath.exp(1j * (q + late - b))
    if abs(turned.imag) <= close * (abs(c) + abs(r)):
        return [a, b, turned.real]
    return [a, b + cmath.phase(turned), abs(turned)]


def _lock(primitive: Primitive, constants: Sequence[float], first: Lock, second: Lock) -> Lock:
    numbers = first.constants.new_tensor(list(constants))
    return Lock(primitive, numbers, first.free | second.free)
