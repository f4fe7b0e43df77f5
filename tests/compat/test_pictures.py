"""The pictures of pykan's network: what is drawn, not how it looks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor

from edgewise import ConfigError
from edgewise.compat.pykan import KAN

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _surroundings() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    plt.close("all")


def rows(n: int = 50) -> Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1


def artists(figure: Any, kind: str) -> dict[str, Any]:
    """What is drawn of one kind, by the rest of its id."""
    drawn = {str(each.get_gid()): each for each in figure.axes[0].get_children()}
    pairs = [(gid.split("-", 1), each) for gid, each in drawn.items() if "-" in gid]
    return {key: each for (word, key), each in pairs if word == kind}


def test_pictures_come_back_and_are_written_only_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = KAN(width=[2, [1, 1], 1], seed=0)
    model(rows())
    y = sympy.Symbol("y_1")
    figure = model.plot(beta=1e4, in_vars=["a", "$b^2$"], out_vars=[y], title="A title")
    assert figure is plt.gcf()  # for plt.savefig and plt.show
    assert len(artists(figure, "curve")) == model.n_edge
    assert [text.get_text() for text in artists(figure, "x").values()] == ["a", "$b^2$"]
    assert artists(figure, "y")["0"].get_text() == "$y_{1}$"
    assert "A title" in [text.get_text() for text in figure.axes[0].texts]
    figure.canvas.draw()
    inputs, outputs = model.get_fun(0, 0, 0)
    assert (np.diff(inputs) >= 0).all()
    assert outputs.shape == (50,)
    assert list(tmp_path.iterdir()) == []
    model.plot(folder="pictures")
    assert (tmp_path / "pictures" / "network.png").exists()


def test_the_color_of_an_edge_is_its_kind_and_its_opacity_its_score() -> None:
    model = KAN(width=[2, [1, 1], 1], mult_arity=[[], [1], []], seed=0)
    model(rows())
    model.fix_symbolic(0, 0, 0, "sin", verbose=False)
    model.fix_symbolic(0, 1, 1, "x^2", verbose=False)
    model.set_mode(0, 1, 1, "sn", 1.0)
    model.remove_edge(0, 1, 0)
    model.fix_symbolic(0, 0, 1, "0", verbose=False)
    figure = model.plot(beta=2.0)
    curves = artists(figure, "curve")
    assert set(curves) == {"0-0-0", "0-1-1", "1-0-0", "1-1-0"}
    assert curves["0-0-0"].get_color() == "red"
    assert curves["0-1-1"].get_color() == "purple"
    assert curves["1-0-0"].get_color() == curves["1-1-0"].get_color() not in ("red", "purple")
    assert {key: text.get_text() for key, text in artists(figure, "lock").items()} == {
        "0-0-0": "sin"
    }
    for key, curve in curves.items():
        layer, i, j = map(int, key.split("-"))
        assert curve.get_alpha() == pytest.approx(
            math.tanh(2 * float(model.edge_scores[layer][j, i]))
        )
    by_size = artists(model.plot(metric="forward_u", beta=50.0), "curve")
    size = float(model.spline_postacts[1][:, 0, 0].std())
    assert by_size["1-0-0"].get_alpha() == pytest.approx(math.tanh(50 * size))


def test_samples_lie_on_the_curves_and_ticks_are_the_ends_of_the_data() -> None:
    model, x = KAN(width=[2, 1, 1], seed=0), rows()
    model(x)
    model.fix_symbolic(0, 1, 0, "x^2", fit_params_bool=False, verbose=False)
    model(x)
    figure = model.plot(beta=1e4, sample=True, tick=True)
    for key, curve in artists(figure, "curve").items():
        dots = artists(figure, "samples")[key]
        assert len(dots.get_xdata()) == len(x)
        on_curve = np.interp(dots.get_xdata(), curve.get_xdata(), curve.get_ydata())
        np.testing.assert_allclose(dots.get_ydata(), on_curve, atol=2e-3)
    ticks = artists(figure, "tick")
    words = [ticks[f"0-1-0-{end}"].get_text() for end in ("x0", "x1", "y0", "y1")]
    squares = x[:, 1] ** 2
    ends = [x[:, 1].min(), x[:, 1].max(), squares.min(), squares.max()]
    for word, end in zip(words, ends, strict=True):
        assert float(word.replace("−", "-")) == pytest.approx(float(end), rel=0.06, abs=1e-3)


def test_a_crowded_layer_shows_its_strongest_edges_and_the_functions() -> None:
    model = KAN(width=[2, 40, 20, 1], seed=0)
    model(rows())
    model.attribute()
    j, i = divmod(int(model.edge_scores[1].flatten().argsort()[-150]), 40)
    model.fix_symbolic(1, i, j, "sin", verbose=False)
    figure = model.plot(beta=1e6)
    scores = model.edge_scores[1].detach().flatten()
    strongest = [divmod(int(at), 40) for at in scores.argsort()[-200:]]
    assert (j, i) in strongest
    wires, curves = (
        {key for key in artists(figure, kind) if key.startswith("1-")} for kind in ("wire", "curve")
    )
    assert wires == {f"1-{i}-{j}" for j, i in strongest}
    assert curves == {f"1-{i}-{j}" for j, i in [*strongest[-29:], (j, i)]}
    note = next(text for text in figure.axes[0].texts if text.get_gid() == "note").get_text()
    assert "600 edges below" in note
    assert set(artists(figure, "lock")) == {f"1-{i}-{j}"}


def test_pictures_of_a_fit_are_of_one_size(tmp_path: Path) -> None:
    x = rows(100)
    y = x[:, [0]] ** 2  # the other input fades
    dataset = {"train_input": x, "train_label": y, "test_input": x, "test_label": y}
    model = KAN(width=[2, 3, 1], seed=0)
    model.fit(dataset, steps=16, lamb=0.01, save_fig=True, img_folder=str(tmp_path / "video"))
    pictures = list((tmp_path / "video").iterdir())
    assert sorted(path.name for path in pictures)[:2] == ["0.jpg", "1.jpg"]
    assert len({plt.imread(path).shape for path in pictures}) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "forward"}, "metric"),
        ({"beta": 0.0}, "beta"),
        ({"scale": -1.0}, "scale"),
        ({"in_vars": ["a"]}, "in_vars"),
        ({"out_vars": ["a", "b"]}, "out_vars"),
    ],
)
def test_a_picture_that_cannot_be_drawn_says_so(settings: dict[str, Any], message: str) -> None:
    model = KAN(width=[2, 1], seed=0)
    model(rows())
    with pytest.raises(ConfigError, match=message):
        model.plot(**settings)
