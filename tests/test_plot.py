"""The pictures: what is drawn, not how it looks."""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import sys
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import edgewise as ew
from edgewise import plot
from edgewise._fit import FitResult, Outcome, Status, Step
from edgewise._layer import Lock

pytest.importorskip("matplotlib")


def _network(widths: list[Any], **settings: Any) -> tuple[ew.KAN, Tensor]:
    """A network whose edges bend, and inputs."""
    torch.manual_seed(0)
    model = ew.KAN(widths, **settings)
    model.reset_parameters(0.8)
    return model, 2 * torch.rand(100, model.in_features, dtype=model.dtype) - 1


def _lock(model: ew.KAN, edge: ew.Edge, name: str, *constants: float) -> None:
    layer, _ = model.parts()[edge.layer]
    numbers = torch.tensor(constants or (1.0, 0.0, 1.0, 0.0), dtype=model.dtype)
    layer.lock(edge.target, edge.source, Lock(ew.PRIMITIVES[name], numbers))


def _artists(figure: Any, kind: str) -> dict[str, Any]:
    """The artists whose id begins with a word, by the rest of it."""
    found = {}
    for artist in figure.axes[0].get_children():
        word, _, rest = str(artist.get_gid()).partition("-")
        if word == kind:
            assert rest not in found
            found[rest] = artist
    return found


def _keys(edges: list[ew.Edge]) -> set[str]:
    return {f"{e.layer}-{e.source}-{e.target}" for e in edges}


def _data(line: Any) -> tuple[Tensor, Tensor]:
    x, y = (torch.tensor(list(data), dtype=torch.float64) for data in line.get_data())
    return x, y


def _draw(figure: Any) -> bytes:
    """Render as a user would; warnings are errors."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(stream, format="png", dpi=50)
    return stream.getvalue()


def _texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


# The diagram of a network


@pytest.mark.parametrize(
    "widths", [[1, 1], [2, 5, 1], [4, (3, 2), 1], [2, (0, 1)], [3, (1, 2), (2, 1), 2], [1] * 7]
)
def test_every_edge_has_one_curve_frame_and_wire(widths: list[Any]) -> None:
    model, x = _network(widths)
    figure = plot.network(model, x)
    for kind in ("curve", "frame", "wire"):
        assert _artists(figure, kind).keys() == _keys(model.edges())
    assert _draw(figure).startswith(b"\x89PNG")


def test_edges_that_are_off_are_not_drawn() -> None:
    model, x = _network([2, 5, 1])
    for o, i in ((0, 0), (0, 1), (3, 1)):
        model.parts()[0][0].remove(o, i)
    figure = plot.network(model, x)
    assert len(model.edges()) == 12
    assert _artists(figure, "curve").keys() == _keys(model.edges())


def test_hidden_nodes_without_edges_are_left_out_and_counted() -> None:
    model, x = _network([2, 3, 1])
    for layer, pairs in ((0, [(1, 0), (1, 1)]), (1, [(0, 1)])):
        for o, i in pairs:
            model.parts()[layer][0].remove(o, i)
    figure = plot.network(model, x)
    assert _artists(figure, "node").keys() == {"0-0", "0-1", "1-0", "1-2", "2-0"}
    assert "1 node without edges left out" in _texts(figure)


def test_inputs_and_outputs_stay_when_all_edges_are_off() -> None:
    model, x = _network([2, 2, 2])
    for layer, _ in model.parts():
        layer.mask.fill_(False)
    figure = plot.network(model, x)
    assert _artists(figure, "node").keys() == {"0-0", "0-1", "2-0", "2-1"}
    assert not _artists(figure, "curve")
    _draw(figure)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_curves_are_the_edges_over_the_range_of_their_data(dtype: torch.dtype) -> None:
    model, x = _network([3, (2, 1), 2], dtype=dtype)
    _lock(model, ew.Edge(0, 1, 0), "sin", 2.0, 0.3, 1.5, 0.1)
    record = ew.trace(model, x)
    curves = _artists(plot.network(model, x), "curve")
    for e in model.edges():
        came = record.inputs[e.layer]
        across, height = _data(curves[f"{e.layer}-{e.source}-{e.target}"])
        share = (across - across[0]) / (across[-1] - across[0])
        assert torch.allclose(share.diff(), share.new_tensor(1 / (len(share) - 1)))
        low, high = came.amin(0).double(), came.amax(0).double()
        points = (low + share.unsqueeze(-1) * (high - low)).to(dtype)
        with torch.no_grad():
            value = model.parts()[e.layer][0].edges(points)[:, e.target, e.source].double()
        # a frame moves and stretches a function, upwards
        design = torch.stack([value, torch.ones_like(value)], -1)
        fit = torch.linalg.lstsq(design, height).solution
        assert fit[0] > 0
        assert torch.dist(design @ fit, height) < (1e-9 if dtype == torch.float64 else 1e-4)


def test_curves_stay_in_their_frames() -> None:
    model, x = _network([10, 10, 5, 1])
    figure = plot.network(model, x)
    frames, curves = _artists(figure, "frame"), _artists(figure, "curve")
    for key, curve in curves.items():
        box = frames[key].get_bbox()
        for data, low, high in zip(_data(curve), box.min, box.max, strict=True):
            assert low < data.min()
            assert data.max() < high


@pytest.mark.parametrize("widths", [[2, 5, 1], [6, 10, 5, 1], [4, (3, 2), 1], [5, 3, 20]])
def test_frames_do_not_overlap_and_no_wire_goes_through_one(widths: list[Any]) -> None:
    model, x = _network(widths)
    figure = plot.network(model, x)
    boxes = [frame.get_bbox() for frame in _artists(figure, "frame").values()]
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    corners = torch.tensor([[*box.min, *box.max] for box in boxes])  # (boxes, 4)
    for wire in _artists(figure, "wire").values():
        x_data, y_data = _data(wire)
        ends = torch.stack([x_data, y_data], -1)
        share = torch.linspace(0, 1, 12, dtype=torch.float64).reshape(-1, 1, 1)
        points = (ends[:-1] + share * ends.diff(dim=0)).reshape(-1, 1, 2)  # (points, 1, 2)
        inside = (points > corners[:, :2] + 1e-9) & (points < corners[:, 2:] - 1e-9)
        assert not inside.all(-1).any()


def test_wires_lead_from_the_source_to_the_target() -> None:
    model, x = _network([3, (2, 1), 2])
    figure = plot.network(model, x)
    nodes, wires = _artists(figure, "node"), _artists(figure, "wire")

    def place(key: str) -> tuple[float, float]:
        return nodes[key].get_xdata()[0], nodes[key].get_ydata()[0]

    for e in model.edges():
        _, after = model.parts()[e.layer]
        end = f"{e.layer + 1}-{after.of_sum(e.target)}"
        if e.target >= after.sums:
            end += f"-{after.sums_of(after.of_sum(e.target)).index(e.target)}"
        wire = wires[f"{e.layer}-{e.source}-{e.target}"]
        points = list(zip(wire.get_xdata(), wire.get_ydata(), strict=True))
        assert points[0] == place(f"{e.layer}-{e.source}")
        assert points[-1] == place(end)


def test_opacity_rises_with_the_score() -> None:
    model, x = _network([4, 4, 1])
    scores = ew.attribute(model, x).edges
    curves = _artists(plot.network(model, x, beta=2.0), "curve")
    by_score = sorted(
        (float(scores[e.layer][e.target, e.source]), curves[f"{e.layer}-{e.source}-{e.target}"])
        for e in model.edges()
    )
    opacities = [curve.get_alpha() for _, curve in by_score]
    assert opacities == sorted(opacities)
    assert opacities[-1] == pytest.approx(math.tanh(2.0 * by_score[-1][0]))
    assert 0 < opacities[0] < opacities[-1] <= 1


def test_locked_edges_have_another_color_and_their_name() -> None:
    model, x = _network([2, 2, 1])
    _lock(model, ew.Edge(0, 0, 1), "gaussian")
    _lock(model, ew.Edge(1, 1, 0), "x^2")
    figure = plot.network(model, x)
    for kind in ("curve", "wire"):
        colors = {key: artist.get_color() for key, artist in _artists(figure, kind).items()}
        locked = {colors.pop("0-0-1"), colors.pop("1-1-0")}
        assert len(locked) == len(set(colors.values())) == 1
        assert locked.isdisjoint(colors.values())
    names = {key: text.get_text() for key, text in _artists(figure, "lock").items()}
    assert names == {"0-0-1": "gaussian", "1-1-0": "x^2"}


def test_locked_edges_without_room_for_a_name_are_explained_below() -> None:
    model, x = _network([9, 5, 1])
    _lock(model, ew.Edge(0, 3, 4), "sin")
    figure = plot.network(model, x, faint=0)
    assert not _artists(figure, "lock")
    assert "orange: locked to a primitive" in _artists(figure, "note")[""].get_text()


def test_sums_have_a_plus_and_products_a_cross_with_two_factors() -> None:
    model, x = _network([4, (3, 2), 1])
    figure = plot.network(model, x)
    assert _artists(figure, "times").keys() == {"1-3", "1-4"}
    factors = {"1-3-0", "1-3-1", "1-4-0", "1-4-1"}
    assert _artists(figure, "factor").keys() == factors
    assert _artists(figure, "plus").keys() == {"1-0", "1-1", "1-2", "2-0"} | factors


def test_a_product_has_a_dot_for_each_factor() -> None:
    model, x = _network([3, (1, [4, 2, 3]), 1])
    figure = plot.network(model, x)
    expected = {f"1-{n}-{k}" for n, arity in ((1, 4), (2, 2), (3, 3)) for k in range(arity)}
    assert _artists(figure, "factor").keys() == expected
    dots = _artists(figure, "node")
    across = [dots[key].get_xdata()[0] for key in sorted(expected)]
    assert across == sorted(across)  # no factor is drawn over those of the next product
    assert len(set(across)) == len(across)


def test_names_are_drawn_as_given() -> None:
    model, x = _network([4, 1])
    names = ["a_b", "$x^2$", "100 % \\alpha", "größe {m}"]
    figure = plot.network(model, x, names=names, output_names=["$"])
    drawn = _artists(figure, "x") | {"y": _artists(figure, "y")["0"]}
    assert [text.get_text() for text in drawn.values()] == [*names, "$"]
    assert not any(text.get_parse_math() for text in drawn.values())
    _draw(figure)


def test_names_in_any_script_raise_no_warning() -> None:
    model, x = _network([3, 1])
    figure = plot.network(model, x, names=["速度", "tab\there\x00", ""], output_names=["скорость"])
    assert _artists(figure, "y")["0"].get_text() == "скорость"
    _draw(figure)


def test_inputs_and_outputs_have_the_names_of_the_formula_by_default() -> None:
    model, x = _network([2, 1])
    figure = plot.network(model, x)
    assert [t.get_text() for t in _artists(figure, "x").values()] == ["$x_{1}$", "$x_{2}$"]
    assert [t.get_text() for t in _artists(figure, "y").values()] == ["$y$"]
    model, x = _network([1, 2])
    outputs = _artists(plot.network(model, x), "y").values()
    assert [t.get_text() for t in outputs] == ["$y_{1}$", "$y_{2}$"]


def test_long_names_do_not_run_into_each_other() -> None:
    model, x = _network([8, 2, 1])
    figure = plot.network(model, x, names=[f"a rather long name {i}" for i in range(8)])
    assert {text.get_rotation() for text in _artists(figure, "x").values()} == {40}
    left, bottom, right, top = figure.axes[0].get_position().extents
    assert (left, bottom, right, top) == (0, 0, 1, 1)
    for text in figure.axes[0].texts:  # all on the sheet
        box = text.get_window_extent()
        assert min(box.x0, box.y0) >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_wide_networks_leave_faint_edges_out_and_count_them() -> None:
    model, x = _network([10, 10, 5, 1])
    with torch.no_grad():
        model.parts()[0][0].coef[:, 5:] *= 1e-3
    scores = ew.attribute(model, x).edges[0]
    figure = plot.network(model, x)
    faint = {(o, i) for o, i in (scores < 0.03).nonzero().tolist()}
    faint_scores = scores[scores < 0.03]
    assert len(faint) >= 50
    missing = _keys(model.edges()) - _artists(figure, "curve").keys()
    assert {f"0-{i}-{o}" for o, i in faint} <= missing
    note = _artists(figure, "note")[""].get_text()
    found = re.match(rf"{len(missing)} edges below ([0-9.e-]+) not drawn \(of 155\)", note)
    assert found
    assert float(faint_scores.max()) < float(found[1])
    every = plot.network(model, x, faint=0)
    assert _artists(every, "wire").keys() == _keys(model.edges())
    assert "not drawn" not in _artists(every, "note")[""].get_text()


def test_a_crowded_layer_shows_its_200_strongest_edges_and_30_curves() -> None:
    model, x = _network([60, 4, 1])
    _lock(model, ew.Edge(0, 3, 1), "gaussian", 1.0, 0.0, 1e-3, 0.0)
    scores = ew.attribute(model, x).edges[0].flatten()
    figure = plot.network(model, x, faint=0)
    drawn = {k: {key for key in _artists(figure, k) if key[0] == "0"} for k in ("wire", "curve")}
    strong = [f"0-{k % 60}-{k // 60}" for k in scores.topk(200).indices.tolist()]
    assert drawn["wire"] == set(strong)
    assert len(drawn["curve"]) == 30
    expected = set(strong[:30] if "0-3-1" not in strong else [*strong[:29], "0-3-1"])
    assert drawn["curve"] == expected
    assert _artists(figure, "frame").keys() == _artists(figure, "curve").keys()


def test_names_that_have_no_room_are_thinned() -> None:
    model, x = _network([40, 2, 120])
    figure = plot.network(model, x)
    places = sorted(text.get_position()[0] for text in _artists(figure, "y").values())
    assert 30 <= len(places) < 120
    assert min(b - a for a, b in zip(places, places[1:], strict=False)) >= 0.15
    assert _artists(figure, "y").keys() <= {str(k) for k in range(120)}
    assert len(_artists(figure, "x")) == 40


def test_edges_with_a_pole_or_without_values_are_drawn() -> None:
    model, x = _network([2, 2, 1])
    _lock(model, ew.Edge(0, 0, 0), "1/x")
    _lock(model, ew.Edge(0, 1, 1), "log")  # no value for half of the data
    figure = plot.network(model, x)
    assert _artists(figure, "curve").keys() == _keys(model.edges())
    _draw(figure)
    _lock(model, ew.Edge(0, 1, 1), "log", 1.0, -9.0, 1.0, 0.0)  # for none
    _draw(plot.network(model, x))


def test_constant_columns_are_drawn() -> None:
    model, x = _network([2, 2, 1])
    x[:, 1] = 0.25
    figure = plot.network(model, x)
    assert len(_artists(figure, "curve")) == 6
    _draw(figure)


def test_pictures_do_not_change_the_model() -> None:
    model, x = _network([2, (1, 1), 1])
    _lock(model, ew.Edge(0, 0, 1), "sin")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    keep = x.clone()
    plot.network(model, x)
    plot.edge(model, (0, 0, 1), x)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert torch.equal(keep, x)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_inputs_of_another_precision_are_taken() -> None:
    model, x = _network([2, 1], dtype=torch.float32)
    assert len(_artists(plot.network(model, x.double()), "curve")) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"names": ["a"]}, "This network has 2 inputs, got 1 names: ['a']."),
        ({"output_names": ["a", "b"]}, "This network has 1 outputs, got 2 names"),
        ({"names": "ab"}, "Give a list of input names, got the text 'ab'."),
        ({"beta": 0.0}, "beta must be positive and finite, got 0.0."),
        ({"beta": math.nan}, "beta must be positive and finite, got nan."),
        ({"faint": -1.0}, "faint is a score and cannot be negative, got -1.0."),
    ],
)
def test_wrong_settings_say_so(settings: dict[str, Any], message: str) -> None:
    model, x = _network([2, 1])
    with pytest.raises(ew.ConfigError, match=re.escape(message)):
        plot.network(model, x, **settings)


@pytest.mark.usefixtures("unchecked")
def test_wrong_inputs_say_so() -> None:
    model, x = _network([2, 1])
    for call in (plot.network, lambda m, bad: plot.edge(m, (0, 0, 0), bad)):
        with pytest.raises(ew.ShapeError, match=r"shape \(batch, 2\), got \(100, 1\)"):
            call(model, x[:, :1])
        with pytest.raises(ew.ShapeError, match=r"got \(100,\)"):
            call(model, x[:, 0])
        with pytest.raises(ew.DataError, match="at least 2 rows of inputs, got 1"):
            call(model, x[:1])
        with pytest.raises(ew.DataError, match="missing or infinite"):
            call(model, x / 0)


# One edge


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ((2, 0, 0), "There is no edge 2:0->0: this network has the layers of edges 0 to 1."),
        ((0, 2, 0), "There is no edge 0:2->0: in layer 0, source goes from 0 to 1"),
        ((0, 0, 3), "target from 0 to 2"),
        ((0, -1, 0), "There is no edge 0:-1->0"),
        ((0, 1, 1), "edge 0:1->1 is off"),
    ],
)
def test_an_edge_that_does_not_exist_says_so(edge: tuple[int, int, int], message: str) -> None:
    model, x = _network([2, 3, 1])
    model.parts()[0][0].remove(1, 1)
    with pytest.raises(ew.ConfigError, match=re.escape(message)):
        plot.edge(model, edge, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_edge_is_drawn_over_its_grid_and_its_data(dtype: torch.dtype) -> None:
    model, x = _network([2, 3, 1], grid=5, dtype=dtype)
    figure = plot.edge(model, ew.Edge(0, 1, 2), 2 * x)
    curve, beyond = _artists(figure, "curve")[""], _artists(figure, "beyond")[""]
    (points, inside), (_, outside) = _data(curve), _data(beyond)
    values = inside.nan_to_num() + outside.nan_to_num()
    with torch.no_grad():
        expected = model.parts()[0][0].edges(points.to(dtype).unsqueeze(-1).expand(-1, 2))
    assert torch.allclose(values, expected[:, 2, 1].double(), atol=1e-6)
    assert points[0] == pytest.approx(float(2 * x[:, 1].min()))
    assert torch.equal(inside.isfinite(), points.abs() <= 1)
    _draw(figure)


def test_knots_are_ticks() -> None:
    model, _ = _network([2, 3, 1], grid=5)
    figure = plot.edge(model, (0, 1, 2))
    knots = _artists(figure, "knots")[""].get_xdata()
    assert list(knots) == pytest.approx([-1, -0.6, -0.2, 0.2, 0.6, 1])
    assert not _artists(figure, "density")


def test_the_density_covers_the_data() -> None:
    model, x = _network([2, 3, 1])
    x = 0.5 * x
    density = _artists(plot.edge(model, (0, 1, 2), x), "density")[""].get_data()
    assert density.edges[0] == pytest.approx(float(x[:, 1].min()))
    assert density.edges[-1] == pytest.approx(float(x[:, 1].max()))
    counts = torch.histc(x[:, 1], len(density.values))
    shares = torch.tensor(density.values) / max(density.values)
    assert torch.allclose(shares, counts / counts.max())


def test_a_locked_edge_shows_its_name_and_constants() -> None:
    model, x = _network([2, 3, 1])
    _lock(model, ew.Edge(0, 1, 2), "sin", 3.14159, 0.0, -2.0, 1.0)
    figure = plot.edge(model, (0, 1, 2), x)
    title = figure.axes[0].get_title(loc="right")
    assert title == "sin:  a = 3.14, b = 0, c = −2, d = 1"
    numeric = _artists(plot.edge(model, (0, 0, 2), x), "curve")[""].get_color()
    assert _artists(figure, "curve")[""].get_color() != numeric
    assert not _artists(figure, "knots")
    assert _data(_artists(figure, "curve")[""])[0].max() == pytest.approx(float(x[:, 1].max()))
    _draw(figure)
    assert _data(_artists(plot.edge(model, (0, 1, 2)), "curve")[""])[0].max() == 1


# The history of a fit


def _result(*steps: tuple[int, float, float]) -> FitResult:
    """A fit of steps (grid, train, held out)."""
    history = tuple(
        Step(k + 7, grid, 10 * grid, train, held_out, 0.1 * k)
        for k, (grid, train, held_out) in enumerate(steps)
    )
    return FitResult(
        model=ew.KAN([1, 1]),
        status=Status(Outcome.CONVERGED, "Done."),
        history=history,
        trials=(),
        train=1.0,
        held_out=1.0,
        measure="RMSE",
        solver="Levenberg-Marquardt",
        seconds=1.0,
    )


def test_the_history_shows_both_errors_the_grids_and_the_kept_step() -> None:
    result = _result((3, 1e-1, 2e-1), (3, 1e-2, 2e-2), (6, 1e-4, 3e-4), (12, 1e-6, 4e-4))
    figure = plot.history(result)
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "RMSE"
    train, held_out = _artists(figure, "train")[""], _artists(figure, "held_out")[""]
    assert list(train.get_xdata()) == [7, 8, 9, 10]
    assert list(train.get_ydata()) == [1e-1, 1e-2, 1e-4, 1e-6]
    assert list(held_out.get_ydata()) == [2e-1, 2e-2, 3e-4, 4e-4]
    changes = [float(_data(line)[0][0]) for line in axes.lines if line.get_gid() == "grid-change"]
    assert changes == [8.5, 9.5]
    assert [t.get_text() for t in axes.texts if t.get_gid() == "grid"] == ["3", "6", "12"]
    kept = _artists(figure, "kept")[""]
    assert (*kept.get_xdata(), *kept.get_ydata()) == (9, 3e-4)
    _draw(figure)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [(3, 0.4, 0.5)],
        [(3, 0.0, 0.0)] * 2,
        [(3, 1e-3, 1e-3), (5, 1e-9, 0.0), (5, 0.0, 0.0)],
        [(3, 0.4, math.nan)] * 3,
        [(3, 1.0, math.inf), (3, 0.5, 0.6)],
        [(k, 10.0**-k, 20.0**-k) for k in range(1, 60)],
    ],
)
def test_every_history_can_be_drawn(steps: list[tuple[int, float, float]]) -> None:
    _draw(plot.history(_result(*steps)))


# What a picture does to its surroundings


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a fresh interpreter says after it drew, in an empty folder without a display."""
    folder = tmp_path_factory.mktemp("empty")
    cache = tmp_path_factory.mktemp("cache")
    script = """
import sys, warnings
warnings.simplefilter("error")
import torch, edgewise as ew
from edgewise import plot
print("before", "matplotlib" in sys.modules)
model, x = ew.KAN([2, 5, 1]), torch.rand(50, 2, dtype=torch.float64)
plot.network(model, x)
plot.edge(model, (0, 1, 2), x)
print("pyplot", "matplotlib.pyplot" in sys.modules)
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    environment |= {"MPLCONFIGDIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    return f"{done.stdout}files {sorted(p.name for p in Path(folder).iterdir())}\n{done.stderr}"


def test_matplotlib_is_imported_when_first_used(surroundings: str) -> None:
    assert "before False" in surroundings


def test_pyplot_is_not_imported(surroundings: str) -> None:
    assert "pyplot False" in surroundings


def test_no_file_is_written(surroundings: str) -> None:
    assert "files []" in surroundings


def test_a_user_s_style_is_neither_used_nor_changed() -> None:
    import matplotlib

    model, x = _network([2, 1])
    with matplotlib.rc_context({"figure.facecolor": "black", "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        figure = plot.edge(model, (0, 0, 0), x)
        assert dict(matplotlib.rcParams) == before
        assert figure.get_facecolor() == (1, 1, 1, 1)
        assert not any(line.get_visible() for line in figure.axes[0].get_xgridlines())


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = _network([2, 1])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for call in (
        lambda: plot.network(model, x),
        lambda: plot.edge(model, (0, 0, 0)),
        lambda: plot.history(_result()),
    ):
        with pytest.raises(ew.MissingExtraError, match=r'pip install "edgewise\[plot\]"'):
            call()


def test_a_notebook_shows_a_picture_without_pyplot() -> None:
    script = (
        "import sys, torch, edgewise as ew\n"
        "from IPython.core.formatters import DisplayFormatter\n"
        "figure = ew.plot.network(ew.KAN([2, 1]), torch.rand(9, 2, dtype=torch.float64))\n"
        "data, _ = DisplayFormatter().format(figure)\n"
        "assert data['image/png'], data\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    pytest.importorskip("IPython")
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
