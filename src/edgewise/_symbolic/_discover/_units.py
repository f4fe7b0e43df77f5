"""Units: which powers of the inputs have the unit of y, and which have none (Buckingham 1914).

A law between quantities with units is y = x^a G(p_1, p_2, ...), where x^a has the unit of y and
each p is a product of powers without a unit. There are as many p as inputs less the rank of the
table of exponents, so that a formula of seven inputs often becomes one of two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from edgewise._errors import ConfigError
from edgewise._symbolic._discover._problem import Problem
from edgewise._symbolic._discover._tree import Tree, multiply, power

Unit = str | Sequence[float]
Units = Mapping[str, Unit] | Sequence[Unit]

_FACTOR = re.compile(r"([*/·\s]*)([^\W\d_]+|1)(?:\s*(?:\*\*|\^)\s*\(?(-?\d+(?:[./]\d+)?)\)?)?")
_PREFIXES = ("da", *"EPTGMkhdcmuµnpf")


def exponents(text: str) -> dict[str, Fraction]:
    """Read a unit: which powers of which dimensions it is made of.

    Args:
        text: Such as "kg m/s^2", "N*m", "1"; a name that SymPy does not know is a dimension of its
            own.

    Returns:
        The exponents that are not zero, by dimension.

    Raises:
        ConfigError: If it is not a product of powers.
    """
    found: dict[str, Fraction] = {}
    place, text = 0, text.strip()
    while place < len(text):
        factor = _FACTOR.match(text, place)
        signs = factor[1].replace(" ", "") if factor else ""
        if factor is None or signs not in ("", "*", "·", "/") or (not place and signs):
            raise ConfigError(
                f"A unit is a product of powers, such as kg m/s^2, N*m or 1. Got {text!r}."
            )
        sign = -1 if signs == "/" else 1
        for name, e in _dimensions(factor[2]).items():
            found[name] = found.get(name, Fraction(0)) + sign * Fraction(factor[3] or 1) * e
        place = factor.end()
    return {name: e for name, e in found.items() if e}


def _dimensions(name: str) -> dict[str, Fraction]:
    """The dimensions of one unit, with or without a prefix."""
    if name == "1":
        return {}
    from sympy.physics import units
    from sympy.physics.units.systems.si import SI, dimsys_SI

    names = [name, *(name[len(p) :] for p in _PREFIXES if name.startswith(p) and name != p)]
    for known in names:
        unit = getattr(units, known, None)
        if isinstance(unit, units.Quantity):
            powers = dimsys_SI.get_dimensional_dependencies(SI.get_quantity_dimension(unit))
            return {str(dimension.name): Fraction(e) for dimension, e in powers.items()}
    return {name: Fraction(1)}


def _vectors(rows: list[Any]) -> list[Any]:
    """The same units as exponents of dimensions, in one order."""
    if not any(isinstance(row, str) for row in rows):
        return rows
    if not all(isinstance(row, str) for row in rows):
        raise ConfigError("units are either all texts, such as m/s, or all exponents.")
    read = [exponents(row) for row in rows]
    dimensions = sorted(set().union(*read))
    return [[row.get(name, Fraction(0)) for name in dimensions] for row in read]


def table(units: Any, names: Sequence[str]) -> tuple[list[list[Fraction]], list[Fraction]]:
    """Read the exponents of each input and of y.

    Args:
        units: A unit for each input and one more for y, or a dict with names of inputs and of
            one more, which is y: texts or exponents.
        names: What the inputs are called.

    Returns:
        The exponents of the inputs, and those of y.

    Raises:
        ConfigError: If there are too few or too many, or their lengths differ.
    """
    if isinstance(units, Mapping):
        missing = [name for name in names if name not in units]
        others = [name for name in units if name not in names]
        if missing or len(others) != 1:
            raise ConfigError(
                "units must name each input and one more, the target. "
                f"Missing: {missing}; not an input: {others}."
            )
        rows = [units[name] for name in [*names, others[0]]]
    else:
        rows = list(units)
        if len(rows) != len(names) + 1:
            raise ConfigError(
                f"units needs a sequence of exponents for each of the {len(names)} inputs and one "
                f"more for y, got {len(rows)}."
            )
    rows = _vectors(rows)
    try:
        read = [[Fraction(float(e)).limit_denominator(12) for e in row] for row in rows]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"units holds exponents, which are numbers: {error}.") from error
    if len({len(row) for row in read}) != 1:
        raise ConfigError(
            "units must have as many exponents for each quantity, "
            f"got {[len(row) for row in read]}."
        )
    return read[:-1], read[-1]


def reduced(
    problem: Problem, inputs: list[list[Fraction]], target: list[Fraction], most: int = 3
) -> list[Problem]:
    """The problem in quantities without units, in the plainest ways.

    Args:
        problem: The problem.
        inputs: The exponents of each input.
        target: Those of y.
        most: How many ways.

    Returns:
        Problems, the one with the plainest exponents first.

    Raises:
        ConfigError: If no product of powers of the inputs has the unit of y.
    """
    D = np.array([[float(e) for e in row] for row in inputs], dtype=float).reshape(
        len(inputs), -1
    )  # (inputs, dimensions)
    t = np.array([float(e) for e in target])
    rank = int(np.linalg.matrix_rank(D)) if D.size else 0
    if D.size and np.abs(D.T @ np.linalg.lstsq(D.T, t, rcond=None)[0] - t).max() > 1e-9:
        raise ConfigError(
            f"No product of powers of the inputs has the unit of y, {_shown(target)}: the inputs "
            f"have {', '.join(_shown(row) for row in inputs)}. An input is missing (a constant "
            "with a unit, perhaps), or a unit is wrong."
        )
    if rank == 0:
        return [problem]
    ways: list[tuple[tuple[float, ...], Problem]] = []
    for chosen in combinations(range(len(inputs)), rank):
        base = D[list(chosen)]
        if np.linalg.matrix_rank(base) < rank:
            continue
        factor = _solve(base, t)
        solved = {k: _solve(base, D[k]) for k in range(len(inputs)) if k not in chosen}
        groups = {k: powers for k, powers in solved.items() if powers is not None}
        if factor is None or len(groups) < len(solved):
            continue
        way = _way(problem, chosen, factor, groups)
        parts = [*factor, *(e for g in groups.values() for e in g)]
        price = (
            sum(e.denominator > 1 for g in groups.values() for e in g),
            float(sum(abs(e) for e in parts)),
        )
        if way is not None:
            ways.append(((*price, *chosen), way))
    return [way for _, way in sorted(ways, key=lambda w: w[0])[:most]]


def _solve(base: np.ndarray, t: np.ndarray) -> list[Fraction] | None:
    """The powers of the chosen inputs that have a unit."""
    found = np.linalg.lstsq(base.T, t, rcond=None)[0]
    powers = [Fraction(float(p)).limit_denominator(12) for p in found]
    if np.abs(base.T @ [float(p) for p in powers] - t).max() > 1e-9:
        return None
    return powers


def _way(
    problem: Problem,
    chosen: tuple[int, ...],
    factor: list[Fraction],
    groups: dict[int, list[Fraction]],
) -> Problem | None:
    x = problem.x
    signed = [i for i in chosen if x[:, i].min() <= 0]
    for n, i in enumerate(chosen):
        used = [factor[n], *(g[n] for g in groups.values())]
        if i in signed and any(e.denominator > 1 for e in used):
            return None
        if (x[:, i] == 0).any():
            return None
    known = multiply(*(power(("x", i), e) for i, e in zip(chosen, factor, strict=True)))
    inputs: list[Tree] = [
        multiply(("x", k), *(power(("x", i), -e) for i, e in zip(chosen, g, strict=True)))
        for k, g in groups.items()
    ]
    return problem.divided(known).with_inputs(inputs)


def _shown(row: Sequence[Fraction]) -> str:
    return "(" + ", ".join(str(e) for e in row) + ")"
