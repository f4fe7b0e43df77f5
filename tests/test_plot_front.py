"""The picture of a front: what is drawn, for one formula and for fifteen."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace
from typing import Any

import pytest
import sympy
import torch

import edgewise as ew
from builders import sample
from fronts import stub_front

pytest.importorskip("matplotlib")

x_1, x_2 = sympy.symbols("x_1 x_2", real=True)


def formula(expr: Any, complexity: int, rmse: float) -> Any:
    return SimpleNamespace(expr=sympy.sympify(expr), complexity=complexity, rmse=rmse)


def artists(figure: Any, kind: str) -> list[Any]:
    children = figure.axes[0].get_children()
    return [a for a in children if str(a.get_gid()).startswith(f"{kind}-")]


def boxes(figure: Any, found: list[Any]) -> list[Any]:
    figure.savefig(io.BytesIO(), format="png", dpi=figure.dpi)  # lays it out
    return [artist.get_window_extent() for artist in found]


def many() -> list[Any]:
    terms = [sympy.sin(n * x_1 + x_2) / (1 + x_2**n) for n in range(1, 16)]
    return [formula(sum(terms[:n]), 4 * n, 10.0 ** (1 - n)) for n in range(1, 16)]


@pytest.mark.parametrize("count", [1, 2, 15])
def test_labels_stand_apart_and_on_the_sheet(count: int) -> None:
    figure = ew.plot.front(many()[:count])
    labels = boxes(figure, artists(figure, "label"))
    assert len(labels) == count
    width, height = figure.get_size_inches() * figure.dpi
    for box in labels:
        assert box.x0 > figure.axes[0].get_window_extent().x1
        assert box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    for upper, lower in zip(labels, labels[1:], strict=False):
        assert lower.y1 <= upper.y0 + 2
    assert figure.axes[0].get_window_extent().width > 300


def test_the_line_is_the_least_error_so_far() -> None:
    errors = [1.0, 0.1, 0.3, 0.1, 0.01]
    found = [formula(x_1, 2 * n + 1, error) for n, error in enumerate(errors)]
    figure = ew.plot.front(reversed(found))
    (step,) = [a for a in figure.axes[0].get_lines() if a.get_gid() == "front"]
    x, y = step.get_data()
    assert list(x[:-1]) == [1, 3, 9]
    assert list(y) == [1.0, 0.1, 0.01, 0.01]
    filled = [a.get_markerfacecolor() != "white" for a in artists(figure, "formula")]
    assert filled == [True, True, False, False, True]


def test_errors_that_are_zero_or_no_number() -> None:
    errors = [1.0, 1e-16, 0.0, math.inf, math.nan]
    figure = ew.plot.front([formula(x_1, n, error) for n, error in enumerate(errors, 1)])
    heights = [a.get_ydata()[0] for a in artists(figure, "formula")]
    low, high = figure.axes[0].get_ylim()
    assert low < 1e-16
    assert heights == [1.0, 1e-16, low, high, high]
    for only in (0.0, math.inf):
        ew.plot.front([formula(x_1, 1, only)])


def test_the_best_is_marked() -> None:
    found = [formula(x_1, 1, 0.5), formula(x_2, 2, 0.1), formula(x_1 + x_2, 3, 0.1)]

    def marked(figure: Any) -> list[int]:
        colors = [a.get_color() for a in artists(figure, "label")]
        return [
            n for n, color in enumerate(colors) if color != colors[0] or colors.count(color) == 1
        ]

    assert marked(ew.plot.front(found)) == [1]
    assert marked(ew.plot.front(found, best=found[2])) == [2]


def test_formulas_have_the_names_of_their_inputs() -> None:
    x = sample(40)
    front = stub_front(["2*x_1", "2*x_1 + x_2**2"], x, 2 * x[:, 0] + x[:, 1] ** 2, ("t", "U 5%"))
    labels = [a.get_text() for a in artists(ew.plot.front(front), "label")]
    assert r"\mathrm{U\ 5\%}^{2}" in labels[1]


def test_what_mathematics_cannot_show_stands_as_text() -> None:
    long = sum(sympy.Float(1.25) * n * sympy.sin(n * x_1 + x_2) for n in range(1, 20))
    cases = sympy.Piecewise((x_1, x_1 > 0), (0, True))
    figure = ew.plot.front([formula(long, 90, 0.1), formula(cases, 5, 0.2)])
    first, second = artists(figure, "label")
    assert first.get_text().startswith("Piecewise")
    assert second.get_text().endswith("…")
    assert len(second.get_text()) <= 60


def test_no_formulas() -> None:
    with pytest.raises(ew.ConfigError, match="at least one formula, got none"):
        ew.plot.front([])


def test_what_is_given_stays() -> None:
    found = many()[:3]
    before = [(f.complexity, f.rmse) for f in found]
    torch.manual_seed(0)
    ew.plot.front(found)
    assert [(f.complexity, f.rmse) for f in found] == before
