"""Formulas as MathML: well formed, with any names, and with nothing that could run."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET

import pytest
import sympy

from edgewise._report._mathml import mathml

X = sympy.symbols("x_1 x_2", real=True)
NAMES = ["a", "lambda", "x_1", "pi", "</mi><script>alert(1)</script>", "d&t", "größe", "u v"]


def parse(drawn: str) -> ET.Element:
    """Read it as a browser does, which knows &InvisibleTimes; and the like."""
    plain = re.sub(r"&(?!amp;|lt;|gt;|quot;|#)\w+;", lambda m: html.unescape(m.group()), drawn)
    return ET.fromstring(plain)


def text(drawn: str) -> str:
    return "".join(parse(drawn).itertext())


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name: str) -> None:
    drawn = mathml(sympy.sin(X[0]) * X[1], X, [name, "b"], target=name)
    assert "<script" not in drawn
    assert text(drawn).startswith(f"{name}=")
    assert text(drawn).count(name) >= 2


def test_names_that_are_symbols_of_others_are_not_mixed_up() -> None:
    drawn = mathml(X[0] ** 2 + sympy.log(X[1]), X, ["x_2", "x_1"], "y")
    root = parse(drawn)
    (power,) = (e for e in root.iter() if e.tag.endswith("msup"))
    assert "".join(power.itertext()) == "x_22"


def test_a_long_sum_has_a_line_for_each_term() -> None:
    expr = X[0] + 2 * X[1] - X[0] ** 2 - sympy.exp(X[1]) + 3
    drawn = mathml(expr, X, ["a", "b"], "y")
    lines = [e for e in parse(drawn).iter() if e.tag.endswith("mtr")]
    assert len(lines) == 5


def test_numeric_edges_are_functions_phi() -> None:
    phi = sympy.Function("phi_0_1_2", real=True)
    drawn = mathml(phi(X[0]), X, ["a", "b"], "y")
    assert "φ" in text(drawn)
    assert "0,1,2" in text(drawn)


def test_numbers_are_rounded_for_print() -> None:
    assert "1.235" in text(mathml(sympy.Float("1.23456789") * X[0], X, ["a", "b"], "y"))


def test_more_names_than_letters() -> None:
    symbols = sympy.symbols("x_1:61", real=True)
    names = [f"n{i:02}" for i in range(60)]
    drawn = mathml(sum(symbols, sympy.Integer(0)), symbols, names, "y")
    assert all(name in text(drawn) for name in names)
