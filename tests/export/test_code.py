"""Formulas as code: Python runs it, a C compiler takes it without a warning, and all agree."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch

import edgewise as ew
from edgewise._symbolic._compile._words import parse
from laws import laws

COMPILER = shutil.which("gcc") or shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
x, y = sympy.symbols("x y", real=True)

EDGES = [-math.inf, -1e300, -750.0, -2.0, -1.0, -1e-320, 0.0, 1e-9, 0.5, 1.0, 3.0, 750.0, 1e300]
EDGES += [math.inf, math.nan]


def in_python(source: str) -> dict[str, Any]:
    """Run a module that may import nothing but math."""
    assert [line for line in source.splitlines() if "import" in line] == ["import math"]
    names: dict[str, Any] = {}
    exec(compile(source, "formula.py", "exec"), names)
    return names


def in_c(folder: Path, source: str) -> ctypes.CDLL:
    (folder / "f.c").write_text(source)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O0"]
    command = [str(COMPILER), *flags, "-shared", "-fPIC", "f.c", "-o", "f.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "f.so"))


def c_function(library: ctypes.CDLL, name: str, arguments: int) -> Callable[..., float]:
    function = getattr(library, name)
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_double] * arguments
    return function


@needs_compiler
def test_the_laws_agree_in_all_languages(tmp_path: Path) -> None:
    """One file for all of them: a compiler starts slowly."""
    source, compared = "", []
    for number, law in enumerate(laws()):
        expr = parse(law.formula, law.variables)
        symbols = [sympy.Symbol(name, real=True) for name in law.variables]
        name = f"law_{number}"
        source += ew.export.to_c(expr, symbols, name=name)
        python = in_python(ew.export.to_python(expr, symbols, name=name))[name]
        model = ew.compile_formula(law.formula, law.variables)
        compared.append((law, name, python, model))
    library = in_c(tmp_path, source)
    for law, name, python, model in compared:
        rows = law.rows(5)
        with torch.no_grad():
            expected = model(torch.from_numpy(rows))[:, 0].numpy()
        c = c_function(library, name, rows.shape[1])
        scale = 1e-13 * np.nanmax(np.abs(expected))
        for values in ([python(*map(float, row)) for row in rows], [c(*row) for row in rows]):
            np.testing.assert_allclose(values, expected, rtol=1e-12, atol=scale)


ALONE = {
    "sqrt": sympy.sqrt(x),
    "cbrt": sympy.cbrt(x),
    "x^2": x**2,
    "x^3": x**3,
    "x^5": x**5,
    "x^7": x**7,
    "1/x": 1 / x,
    "1/x^3": x**-3,
    "1/sqrt": 1 / sympy.sqrt(x),
    "x^1.5": x ** sympy.Rational(3, 2),
    **{
        name: ew.PRIMITIVES[name].sympy(x)
        for name in (
            *("exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "arctan", "arcsin"),
            *("arctanh", "erf", "abs", "sign", "gaussian", "sigmoid"),
        )
    },
}


@needs_compiler
def test_words_agree_where_they_end(tmp_path: Path) -> None:
    """At zero, at the ends of domains, beyond the largest number: NaN and infinity as in torch."""
    names = {word: f"f{number}" for number, word in enumerate(ALONE)}
    source = "".join(ew.export.to_c(e, [x], name=names[w]) for w, e in ALONE.items())
    library = in_c(tmp_path, source)
    for word, expr in ALONE.items():
        primitive = ew.power(7) if word == "x^7" else ew.PRIMITIVES[word]
        points = [u for u in EDGES if not (word == "sign" and math.isnan(u))]
        expected = primitive.torch(torch.tensor(points, dtype=torch.float64)).numpy()
        python = in_python(ew.export.to_python(expr, [x]))["formula"]
        c = c_function(library, names[word], 1)
        for u, value in zip(points, expected, strict=True):
            for ours in (python(u), c(u)):
                np.testing.assert_allclose(ours, value, rtol=4e-15, err_msg=f"{word} of {u}")


def test_a_quotient_of_products_is_not_taken_apart() -> None:
    expr = x**2 * y / (x**3 * (y + 1) ** 2) - 2 / (3 * x * y)
    assert "/(" in ew.export.to_c(expr)
    python = in_python(ew.export.to_python(expr, [x, y]))["formula"]
    value = 4 * 3 / (8 * 16) - 2 / 18
    assert python(2.0, 3.0) == pytest.approx(value, rel=1e-15)


@needs_compiler
def test_several_outputs(tmp_path: Path) -> None:
    exprs = (sympy.sin(x + y), sympy.sin(x + y) ** 2, sympy.pi, 10**30 * x)
    source = ew.export.to_c(exprs, [x, y], name="both")
    assert source.count("sin(") == 1
    function = in_c(tmp_path, source).both
    values = (ctypes.c_double * 4)()
    function(ctypes.c_double(0.3), ctypes.c_double(0.4), values)
    expected = (math.sin(0.7), math.sin(0.7) ** 2, math.pi, 0.3e30)
    np.testing.assert_allclose(list(values), expected, rtol=1e-15)
    python = in_python(ew.export.to_python(exprs, [x, y], name="both"))["both"]
    np.testing.assert_allclose(python(0.3, 0.4), expected, rtol=1e-15)


@needs_compiler
def test_names_that_are_none_in_code(tmp_path: Path) -> None:
    symbols = sympy.symbols("x_1:6", real=True)
    expr = sum(n * symbol for n, symbol in enumerate(symbols, 1)) + sympy.sin(symbols[0]) ** 2
    names = ["double", "50 %\n*/", "lambda", "t0", "größe"]
    source = ew.export.to_c(expr, symbols, names=names)
    assert "double x_1, double x_2, double lambda, double t0, double x_5)" in source
    assert "/* x_2 is 50 % * / */" in source
    c = c_function(in_c(tmp_path, source), "formula", 5)
    code = ew.export.to_python(expr, symbols, names=names)
    assert "def formula(double, x_2, x_3, t0, x_5):" in code
    python = in_python(code)["formula"]
    arguments = (0.1, 0.2, 0.3, 0.4, 0.5)
    value = 5.5 + math.sin(0.1) ** 2
    assert c(*arguments) == pytest.approx(value, rel=1e-15)
    assert python(*arguments) == pytest.approx(value, rel=1e-15)


def test_names_that_would_be_the_same() -> None:
    a, b, c = sympy.symbols("a b c")
    code = ew.export.to_python(a - b + c, [a, b, c], names=["x_2", "if", "x_2"])
    python = in_python(code)["formula"]
    assert python(1.0, 10.0, 100.0) == 91.0


@needs_compiler
def test_an_input_that_does_not_occur(tmp_path: Path) -> None:
    c = c_function(in_c(tmp_path, ew.export.to_c(2 * x, [x, y])), "formula", 2)
    assert c(3.0, 5.0) == 6.0
    assert in_python(ew.export.to_python(2 * x, [x, y]))["formula"](3.0, 5.0) == 6.0


def test_numbers_are_kept_to_the_last_bit() -> None:
    number = 0.1 + 0.2
    expr = sympy.Float(number, 17) * x
    assert in_python(ew.export.to_python(expr))["formula"](1.0) == number
    assert "0.30000000000000004*x" in ew.export.to_c(expr)


def test_a_formula_writes_itself() -> None:
    inputs = torch.rand(100, 2, dtype=torch.float64) + 0.5
    model = ew.compile_formula("1.5*exp(-x_1/3)*sqrt(x_2) + pi")
    names = ["time", "x 2"]
    formula = ew.symbolize(model, inputs, model(inputs), names=names, progress=False)
    python = in_python(formula.to_python(name="law"))["law"]
    values = [python(*row) for row in inputs.tolist()]
    np.testing.assert_allclose(values, formula(inputs)[:, 0], rtol=1e-14)
    assert "double law(double time, double x_2)" in formula.to_c(name="law")


# messages


@pytest.mark.parametrize("write", [ew.export.to_c, ew.export.to_python])
def test_what_has_no_code(write: Any) -> None:
    with pytest.raises(ew.ConfigError, match=r"There is no code for besselj\(0, x\)"):
        write(sympy.besselj(0, x) + 1)
    with pytest.raises(ew.ConfigError, match=r"There is no code for phi_0_1_0\(y\)"):
        write(sympy.Function("phi_0_1_0")(y))
    with pytest.raises(ew.ConfigError, match="There is no code for I "):
        write(sympy.I * x)
    with pytest.raises(ew.ConfigError, match=r"The formula has y, and the inputs are \[x\]"):
        write(x * y, [x])
    with pytest.raises(ew.ConfigError, match="There are 2 inputs, got 1 names"):
        write(x * y, [x, y], names=["a"])
    for name in ("if", "a b", "größe", "2x"):
        with pytest.raises(ew.ConfigError, match="is no name for a function"):
            write(x, name=name)
    with pytest.raises(ew.ConfigError, match="is no name for a function in C"):
        ew.export.to_c(x, name="sin")
