"""The library of functions: twins that stay finite, and the user's own functions."""

import math

import numpy as np
import pytest
import scipy.special
import sympy
import torch

from edgewise import ConfigError
from edgewise.compat.pykan import SYMBOLIC_LIB, add_symbolic, fit_params
from edgewise.compat.pykan._words import primitive

INSIDE = {
    **dict.fromkeys(("sqrt", "x^0.5", "x^1.5", "1/sqrt(x)", "1/x^0.5", "log"), (0.4, 3.0)),
    **dict.fromkeys(("1/x", "1/x^2", "1/x^3", "1/x^4", "1/x^5"), (0.8, 3.0)),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), (-0.9, 0.9)),
    "tan": (-1.2, 1.2),
}


@pytest.mark.parametrize("name", list(SYMBOLIC_LIB))
def test_words_agree_with_sympy(name: str) -> None:
    function, symbol, complexity, guarded = SYMBOLIC_LIB[name]
    low, high = INSIDE.get(name, (-2.0, 2.0))
    u = torch.linspace(low, high, 7, dtype=torch.float64) + 0.01
    s = sympy.Symbol("s")
    exact = [float(symbol(s).subs(s, value).evalf()) for value in u.tolist()]
    np.testing.assert_allclose(function(u).numpy(), exact, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(guarded(u, 10.0)[1].numpy(), exact, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(primitive(name).torch(u).numpy(), exact, rtol=1e-12, atol=1e-14)
    assert complexity >= 0


@pytest.mark.parametrize("name", list(SYMBOLIC_LIB))
@pytest.mark.parametrize("bound", [10.0, torch.tensor(1000.0)])
def test_twins_are_finite_with_their_slopes(name: str, bound: object) -> None:
    u = torch.tensor([-50.0, -1.0, -1e-12, 0.0, 1e-12, 1.0, math.pi / 2, 1.5, 90.0])
    u = u.double().requires_grad_()
    value = SYMBOLIC_LIB[name][3](u, bound)[1]
    assert bool(value.isfinite().all())
    if value.requires_grad:
        (slope,) = torch.autograd.grad(value.sum(), u)
        assert bool(slope.isfinite().all())


def test_twins_are_continuous() -> None:
    """pykan's own jump where the twin begins: of sqrt by 9.9 %, of arctanh and arctan."""
    for name, at in (("sqrt", 1e-2), ("1/x", 0.1), ("1/x^2", 10**-0.5), ("log", math.exp(-10))):
        u = torch.tensor([at * (1 - 1e-9), at * (1 + 1e-9)], dtype=torch.float64)
        before, after = SYMBOLIC_LIB[name][3](u, 10.0)[1].tolist()
        assert before == pytest.approx(after, rel=1e-6)


def test_a_function_of_ones_own() -> None:
    add_symbolic("J0", torch.special.bessel_j0, c=3)
    try:
        word = primitive("J0")
        u = torch.linspace(-3, 3, 5, dtype=torch.float64)
        np.testing.assert_allclose(word.torch(u).numpy(), scipy.special.j0(u.numpy()), rtol=1e-9)
        assert str(word.sympy(sympy.Symbol("u"))) == "J0(u)"
        assert word.complexity == 3
        x = torch.linspace(-1, 1, 200, dtype=torch.float64)
        y = torch.from_numpy(3 * scipy.special.j0(20 * x.numpy()) - 1)
        (a, b, c, d), r2 = fit_params(
            x, y, torch.special.bessel_j0, a_range=(-40, 40), verbose=False
        )
        assert abs(float(a)) == pytest.approx(20, rel=1e-6)
        assert float(b) == pytest.approx(0, abs=1e-5)
        assert float(c) == pytest.approx(3, rel=1e-6)
        assert float(d) == pytest.approx(-1, rel=1e-6)
        assert float(r2) == pytest.approx(1, abs=1e-10)
    finally:
        del SYMBOLIC_LIB["J0"]
    with pytest.raises(ConfigError, match="J0"):
        primitive("J0")


def test_both_forms_of_a_twin() -> None:
    try:
        add_symbolic("one", torch.sinc, fun_singularity=lambda x: torch.sinc(x).clamp(max=0.5))
        add_symbolic("two", torch.sinc, fun_singularity=lambda x, y_th: ((), x * 0 + y_th))
        zero = torch.zeros(1)
        assert float(SYMBOLIC_LIB["one"][3](zero, 10.0)[1]) == 0.5
        assert float(SYMBOLIC_LIB["two"][3](zero, 10.0)[1]) == 10.0
        assert float(primitive("two", guard=7.0).torch(zero)) == 7.0
    finally:
        for name in ("one", "two"):
            SYMBOLIC_LIB.pop(name, None)


@pytest.mark.parametrize("size", [1.0, 1e-5])
@pytest.mark.parametrize("frequency", [3.0, 9.0])
def test_constants_of_any_size(size: float, frequency: float) -> None:
    """The coefficient of determination does not depend on units; pykan's is 0.2 for 1e-5."""
    x = torch.linspace(-1, 1, 150, dtype=torch.float64)
    y = size * (5 * torch.sin(frequency * x + 2) + 0.7)
    (a, b, c, d), r2 = fit_params(x, y, torch.sin, verbose=False)
    assert float(r2) == pytest.approx(1, abs=1e-12)
    again = c * torch.sin(a * x + b) + d
    assert float((again - y).abs().max()) < 1e-8 * size
