"""Relations among columns: those that a table was made with are found, and no others."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor

import edgewise as ew
from edgewise.science._budget import Budget
from edgewise.science._formulas import solved

discover = ew.science.discover_relations


def uniform(rows: int, columns: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(rows, columns, dtype=torch.float64, generator=generator) - 1


def two_laws(rows: int, seed: int, noise: float = 0.0) -> Tensor:
    """x3 = exp(sin(pi x1) + x2^2), x5 = x4^3, and x6 is free."""
    x = uniform(rows, 6, seed)
    x[:, 2] = torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2)
    x[:, 4] = x[:, 3] ** 3
    return x + noise * uniform(rows, 6, seed + 100)


@pytest.mark.parametrize("rows", [500, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_both_relations_are_found_whatever_the_seed(rows: int, seed: int) -> None:
    found = discover(two_laws(rows, seed), formulas=False, seed=seed)
    assert {r.variables for r in found} == {("x_1", "x_2", "x_3"), ("x_4", "x_5")}
    assert found.free == ("x_6",)
    assert found[0].score >= found[1].score > 0.99


def test_noise_lowers_the_score_and_hides_nothing() -> None:
    found = discover(two_laws(1000, 0, noise=0.05), formulas=False)
    assert {r.variables for r in found} == {("x_1", "x_2", "x_3"), ("x_4", "x_5")}
    assert 0.95 < found[-1].score < 0.9999


def test_their_formulas() -> None:
    found = discover(two_laws(500, 0), names="a b c d e f".split(), time=600)
    a, b, d = sympy.symbols("a b d", real=True)
    by_target = {r.target: r for r in found}
    assert sympy.simplify(by_target["c"].formula - sympy.exp(sympy.sin(sympy.pi * a) + b**2)) == 0
    assert sympy.simplify(by_target["e"].formula - d**3) == 0
    assert all(r.error is not None and r.error < 1e-9 for r in found)
    assert "e = d**3" in str(found)


def test_a_relation_that_is_no_function() -> None:
    angle = 6.3 * torch.rand(600, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin(), torch.rand_like(angle)], 1)
    found = discover(x, time=600)
    assert [(r.variables, r.target) for r in found] == [(("x_1", "x_2"), None)]
    first, second = sympy.symbols("x_1 x_2", real=True)
    assert sympy.simplify(found[0].formula - (first**2 + second**2 - 1)) == 0
    assert found.free == ("x_3",)


def test_products_of_two_variables() -> None:
    x = uniform(800, 6, 0)
    x[:, 2] = x[:, 0] * x[:, 1] + x[:, 5]
    found = discover(x)
    assert [r.variables for r in found] == [("x_1", "x_2", "x_3", "x_6")]
    assert str(found[0]).startswith("x_3 = x_1*x_2 + x_6 (") or "x_6 = " in str(found[0])
    assert found[0].pairs
    assert found[0].score > 1 - 1e-9


LAWS: dict[str, tuple[str, list[str]]] = {
    "a product": ("d = a*b", ["a", "b", "d"]),
    "a multiple": ("d = 2*b", ["b", "d"]),
    "a half": ("d = p*q/2", ["d", "p", "q"]),
    "three factors": ("d = a*b*c", ["a", "b", "c", "d"]),
    "four factors": ("d = a*b*c*p", ["a", "b", "c", "d", "p"]),
    "powers": ("d = p**2*q**3/a", ["a", "d", "p", "q"]),
    "a product and a sum": ("d = a*b*c + p", ["a", "b", "c", "d", "p"]),
    "an energy": ("d = a**2*p/2 + b*p", ["a", "b", "d", "p"]),
    "a product inside": ("d = c*sin(a*b)", ["a", "b", "c", "d"]),
    "a quotient": ("d = a/(p + q)", ["a", "d", "p", "q"]),
}


@pytest.mark.parametrize(
    "law", [pytest.param(law, marks=[pytest.mark.slow] * (" inside" in law)) for law in LAWS]
)
def test_the_law_that_a_table_was_made_with_is_found(law: str) -> None:
    text, tied = LAWS[law]
    x = uniform(600, 5, 3)
    x[:, 3:] += 2  # p and q are positive
    symbols = sympy.symbols("a b c p q", real=True)
    right = sympy.sympify(text.partition(" = ")[2], dict(zip("abcpq", symbols, strict=True)))
    made = sympy.lambdify(symbols, right, "numpy")(*x.T.numpy())
    table = torch.cat([x, torch.as_tensor(made)[:, None]], 1)
    found = discover(table, names="a b c p q d".split(), time=600)
    assert [sorted(r.variables) for r in found] == [tied]
    assert sorted(found.free) == sorted(set("abcpqd") - set(tied))
    relation = found[0]
    assert relation.error is not None
    assert relation.error < 1e-9
    assert relation.target is not None
    target = sympy.Symbol(relation.target, real=True)
    residual = (target - relation.formula).subs(sympy.Symbol("d", real=True), right)
    assert sympy.simplify(residual) == 0
    assert str(found).startswith(f"1. {relation.target} = ")


@pytest.mark.parametrize(
    ("law", "rows"),
    [("b = 2*a", 100), pytest.param("d = a*b*c", 800, marks=pytest.mark.slow)],
)
def test_a_law_is_found_in_noise_and_its_error_is_that_of_rows_held_out(
    law: str, rows: int
) -> None:
    x = uniform(rows, 4, 1)
    noise = 0.01 * torch.randn(rows, generator=torch.Generator().manual_seed(0)).double()
    target = "abcd".index(law[0])
    exact = 2 * x[:, 0] if target == 1 else x[:, 0] * x[:, 1] * x[:, 2]
    x[:, target] = exact + noise
    found = discover(x, names="a b c d".split(), time=4 if target == 1 else 600)
    assert str(found).startswith(f"1. {law} (")
    assert found[0].error == pytest.approx(float(noise.std() / x[:, target].std()), rel=0.5)


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def circle(rows: int, seed: int) -> Tensor:
    angle = torch.pi * uniform(rows, 1, seed)
    return torch.cat([angle.cos(), angle.sin()], 1)


def terms(formula: Any, *names: str) -> dict[tuple[int, ...], float]:
    """The coefficients of a polynomial by its exponents."""
    found = sympy.Poly(formula, *sympy.symbols(names, real=True)).terms()
    return {powers: float(c) for powers, c in found}


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_the_equation_of_a_circle_is_found_in_noise(noise: float, seed: int) -> None:
    x = circle(500, seed) + noise * normal(500, 2, seed=seed)
    (found,) = discover(x, names=["x", "y"], time=60)
    assert found.target is None
    made = terms(found.formula, "x", "y")
    assert set(made) == {(2, 0), (0, 2), (0, 0)}
    assert made[2, 0] == 1
    assert made[0, 2] == pytest.approx(1, abs=noise)
    assert made[0, 0] == pytest.approx(-1, abs=noise)
    a, b = x.square().T.numpy()
    assert found.error == pytest.approx((a + b - 1).std() / (a.var() + b.var()) ** 0.5, rel=0.3)


def test_an_equation_with_a_middle_and_axes_is_found_in_noise() -> None:
    x = torch.tensor([1.0, 0.0]) + torch.tensor([2.0, 1.0]) * circle(600, 0)
    x = x + 0.03 * normal(600, 2, seed=0) * torch.tensor([2.0, 1.0])
    (found,) = discover(x, names=["x", "y"], time=60)
    made = terms(found.formula, "x", "y")
    expected = {(2, 0): 1, (1, 0): -2, (0, 2): 4, (0, 0): -3}  # (x - 1)^2 / 4 + y^2 = 1
    assert set(made) == set(expected)
    assert all(made[k] == pytest.approx(c, rel=0.03) for k, c in expected.items())


def test_the_equation_of_a_sphere_is_found_in_noise() -> None:
    x = normal(800, 3, seed=1)
    x = x / x.norm(dim=1, keepdim=True) + 0.02 * normal(800, 3, seed=2)
    (found,) = discover(x, names=["x", "y", "z"], time=60)
    made = terms(found.formula, "x", "y", "z")
    assert set(made) == {(2, 0, 0), (0, 2, 0), (0, 0, 2), (0, 0, 0)}
    assert all(abs(c) == pytest.approx(1, abs=0.02) for c in made.values())


TABLES: dict[str, list[str]] = {
    "two products": ["E = m*g*h", "W = m*q*v"],
    "energies": ["U = 981*m*h/100", "K = m*v**2/2"],
    "a sum of them": ["U = 981*m*h/100", "K = m*v**2/2", "T = K + U"],
    "two sums": ["c = m + g", "d = m + h"],
    "a product and a sum": ["E = m*g*h", "d = m + q"],
    "a product and one more": ["E = m*g*h + q", "K = m*v**2/2"],
    "a chain": ["a = m**3", "b = exp(m)"],
}


@pytest.mark.parametrize(
    ("name", "first", "noise"),
    [
        ("two products", "sources", 0.01),
        *((name, first, 0.0) for name in TABLES for first in ("results", "sources")),
    ],
)
def test_laws_that_share_variables_are_found_as_they_were_made(
    name: str, first: str, noise: float
) -> None:
    made = {law[0]: sympy.sympify(law[4:], sympy.__dict__.copy()) for law in TABLES[name]}
    columns = dict(zip("mghqv", (uniform(500, 5, 7) + 2).T.numpy(), strict=True))
    for target, expr in made.items():
        symbols = sorted(expr.free_symbols, key=str)
        values = sympy.lambdify(symbols, expr, "numpy")(*(columns[str(s)] for s in symbols))
        rng = np.random.default_rng(ord(target))
        columns[target] = values * (1 + noise * rng.standard_normal(500))
    names = [*columns][::-1] if first == "results" else [*columns]
    found = discover(np.stack([columns[n] for n in names], 1), names=names, time=600)
    tied = {frozenset(r.variables) for r in found}
    assert tied == {frozenset({t, *map(str, e.free_symbols)}) for t, e in made.items()}
    for relation in found:
        values = {n: columns[n] for n in relation.variables}
        assert relation.target is not None
        right = sympy.lambdify([*values], relation.formula, "numpy")(**values)
        off = right - values[relation.target]
        assert off.std() <= max(5 * noise, 1e-9) * values[relation.target].std()


def test_where_no_formula_is_found_the_text_says_so() -> None:
    u = uniform(400, 3, 0)
    sides = torch.sign(u[:, 1:])
    x = sides * torch.stack([u[:, 0].acos(), (-u[:, 0]).acos()], 1) / 6  # cos 6x + cos 6y = 0
    x = x + (torch.arange(400) % 5)[:, None] * torch.pi / 3 + 0.005 * normal(400, 2, seed=1)
    found = discover(x, time=2)
    assert found[0].formula is None
    assert found[0].error is None
    assert "no formula found)" in str(found[0])
    assert "formula" not in str(discover(x, formulas=False))


def test_what_there_is_no_time_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    x = uniform(400, 5, 0)
    x[:, 2] = x[:, 0] * x[:, 1] + x[:, 3] ** 2
    whole = discover(x, names="a b c d e".split(), time=600)
    assert whole.missed == ()
    assert "not looked at" not in str(whole)
    ticks = itertools.count(step=0.01)  # a clock that goes on whenever it is read
    monkeypatch.setattr("edgewise.science._budget.clock.perf_counter", lambda: next(ticks))
    none = discover(x, names="a b c d e".split(), time=0.1)
    assert len(none) == 0
    assert "products of two" in none.missed
    assert "not looked at: products of two; " in str(none)


def test_laws_that_there_is_no_time_for_are_named() -> None:
    over = Budget(0)
    assert solved(uniform(100, 3, 0), [0, 2], "abc", over, seed=0) is None
    assert over.missed == ["a law for c", "a law for a"]


def test_products_that_are_too_many_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewise.science._search._MOST", 40)
    found = discover(uniform(600, 6, 0), formulas=False, time=600)
    assert found.missed == (
        "products of two squares (72 of them, for 600 rows)",
        "products of two cubes (153 of them, for 600 rows)",
        "products of three (41 of them, for 600 rows)",
    )
    assert len(found) == 0


def test_a_formula_that_rows_held_out_do_not_bear_out_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = uniform(400, 3, 0)
    x[:, 2] = x[:, 0] * x[:, 1]
    wrong = ("x_3", sympy.Symbol("x_1", real=True), 1e-3)  # fitted ever so well, it says

    def candidates(*_: Any) -> Any:
        yield wrong

    monkeypatch.setattr("edgewise.science._relations._candidates", candidates)
    assert discover(x)[0].formula is None


@pytest.mark.parametrize("seed", range(5))
def test_products_of_independent_columns_are_no_relation(seed: int) -> None:
    x = uniform(300, 6, seed)
    assert len(discover(x.exp(), formulas=False, seed=seed)) == 0
    assert len(discover(x, formulas=False, threshold=0.3, seed=seed)) == 0


def test_columns_with_zeros_or_signs_alone_can_stand_beside_a_law() -> None:
    x = uniform(400, 5, 0)
    x[:, 3] = x[:, 3].sign()  # no logarithm of its size varies
    x[::7, 4] = 0
    x[:, 2] = x[:, 0] * x[:, 1]
    found = discover(x, time=60)
    assert str(found[0]).startswith("x_3 = x_1*x_2 (")
    assert found.free == ("x_4", "x_5")


def test_a_chain_gives_as_many_relations_as_there_are() -> None:
    x = uniform(400, 4, 0)
    x[:, 1] = x[:, 0] ** 3
    x[:, 2] = x[:, 0].exp()
    found = discover(x, formulas=False)
    assert len(found) == 2
    assert {v for r in found for v in r.variables} == {"x_1", "x_2", "x_3"}


@pytest.mark.parametrize("seed", range(5))
def test_independent_columns_are_free(seed: int) -> None:
    found = discover(uniform(200, 5, seed), formulas=False)
    assert len(found) == 0
    assert len(found.free) == 5
    assert "no relation found" in str(found)


def test_correlated_columns_are_no_relation() -> None:
    x = uniform(500, 3, 0)
    x[:, 1] = x[:, 0] + 0.5 * x[:, 1]  # R^2 of 0.8
    assert len(discover(x, formulas=False)) == 0
    assert [r.variables for r in discover(x, formulas=False, threshold=0.3)] == [("x_1", "x_2")]


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (uniform(200, 1, 0), {}, ew.ShapeError, "at least 2 columns"),
        (uniform(20, 3, 0), {}, ew.DataError, "at least 50 rows, got 20"),
        (uniform(200, 2, 0) * 0, {}, ew.DataError, "Column 0 is constant"),
        (uniform(200, 2, 0) / 0, {}, ew.DataError, "missing or infinite"),
        (uniform(200, 2, 0), {"names": ["a"]}, ew.ShapeError, "2 columns, got 1 names"),
        (uniform(200, 2, 0), {"names": ["a", "a"]}, ew.ConfigError, "a name of its own"),
        (uniform(200, 2, 0), {"threshold": 2.0}, ew.ConfigError, "between 0 and 1, got 2"),
        (uniform(200, 2, 0), {"time": 0.0}, ew.ConfigError, "must be positive, got 0"),
    ],
)
def test_what_is_not_accepted(
    data: Tensor, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        discover(data, **options)
