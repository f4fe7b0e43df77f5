"""Larger networks: the same function to the last bit, and what was added can be fitted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import edgewise as ew
from builders import put, sample


def mixed() -> ew.KAN:
    """Sums and products, with splines, a lock, and an edge that is off."""
    model = ew.KAN([2, (2, 1), (1, 1)], grid=4)
    put(model, (0, 0, 1), "sin", 2.0, 0.1, 1.0, 0.0)
    put(model, (1, 2, 1), "exp", 0.5, 0.0, 1.0, 0.2)
    model.parts()[0][0].remove(3, 1)
    return model


@pytest.mark.parametrize(
    "widths",
    [
        [2, (2, 1), (1, 1)],
        [2, (3, 1), (1, 1)],
        [2, (2, 3), (1, 1)],
        [2, (5, 2), (1, 1)],
        [2, (2, 1), (1, 1), 2],
        [2, (3, 2), (4, 1), (2, 1), 2],
        [2, (2, [2, 3, 4]), (1, 1), 2],
        [2, (3, [4, 3]), (1, 1)],
    ],
)
@pytest.mark.parametrize("with_x", [False, True])
def test_the_function_stays(widths: Any, with_x: bool) -> None:
    model, x = mixed(), sample(50)
    before = model(x)
    wider = ew.widen(model, widths, x=x if with_x else None, seed=0)
    assert wider.widths == widths
    tolerance = {"rtol": 1e-14, "atol": 1e-14}  # a wider sum may be taken in another order
    torch.testing.assert_close(wider(x), before, **tolerance)
    torch.testing.assert_close(wider(3 * x), model(3 * x), **tolerance)
    assert torch.equal(model(x), before)


@pytest.mark.parametrize("with_x", [False, True])
def test_new_inputs_change_nothing_to_begin_with(with_x: bool) -> None:
    model, x = mixed(), 4 + sample(50, 4)
    wider = ew.widen(model, [4, (3, [2, 3]), (1, 1)], x=x if with_x else None, seed=0)
    torch.testing.assert_close(wider(x), model(x[:, :2]), rtol=1e-13, atol=1e-13)
    layer = wider.parts()[0][0]
    assert bool(layer.mask[:, 2:].all())
    if with_x:
        torch.testing.assert_close(layer.basis.domain[2:, 0], x[:, 2:].amin(0))


def test_grids_are_laid_over_the_data() -> None:
    x = 10 + 5 * sample(50)
    wider = ew.widen(ew.compile_formula("x*y"), [2, (1, 1), 1], x=x, seed=0)
    low, high = wider.parts()[0][0].basis.domain.unbind(-1)
    assert bool((low <= x.amin(0)).all() and (high >= x.amax(0)).all())
    torch.testing.assert_close(wider(x), x.prod(1, keepdim=True))


def test_what_was_off_or_locked_stays_so_and_new_edges_are_splines() -> None:
    model = mixed()
    wider = ew.widen(model, [2, (3, 1), (1, 1)], seed=0)
    first, second = (layer for layer, _ in wider.parts())
    assert [place for place, _ in first.locked()] == [(1, 0)]
    assert [place for place, _ in second.locked()] == [(1, 3)]  # the product node moved by one
    assert not bool(first.active[4, 1])  # as did its second factor
    assert bool(first.mask[2].all())
    assert bool(second.mask[:, 2].all())
    assert not bool(second.coef[:, 2].any())


def test_every_new_number_has_a_say_after_one_step() -> None:
    model = ew.widen(ew.compile_formula("sin(x)*y"), [2, (2, 2), 1], seed=0)
    x = sample(200)
    torch.optim.SGD(model.parameters(), lr=1e-2).zero_grad()
    (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * (0 if p.grad is None else p.grad)
            p.grad = None
    (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
    (layer, _), _ = model.parts()
    moved = layer.coef.grad[layer.mask].abs().amax(-1)  # type: ignore[index]
    assert bool((moved > 0).all())


def test_the_seed_decides() -> None:
    model = ew.compile_formula("x*y")
    first, again, other = (ew.widen(model, [2, (2, 1), 1], seed=s) for s in (0, 0, 1))
    ours, theirs = (m.parts()[0][0].coef for m in (first, again))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, other.parts()[0][0].coef)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([2, (1, 1), (1, 1)], r"the widths are at least \[2, \(2, 1\), \(1, 1\)\]"),
        ([2, (3, 0), (1, 1)], "the widths are at least"),
        ([2, (2, 1), (1, [3])], "outputs as they are"),
        ([1, (2, 1), (1, 1)], "outputs as they are"),
        ([2, (2, 1), 2], "outputs as they are"),
        ([2, (2, 1), (1, 1), 3], "outputs as they are"),
        ([2, 2], "keeps the layers"),
        ([2, 0, 2], "A width is a positive number"),
    ],
)
def test_what_is_no_larger_network(widths: Any, message: str) -> None:
    with pytest.raises(ew.ConfigError, match=message):
        ew.widen(mixed(), widths)


def test_x_must_represent_the_data() -> None:
    with pytest.raises(ew.DataError, match="Widening needs at least 2 rows"):
        ew.widen(mixed(), [2, (3, 1), (1, 1)], x=torch.zeros(1, 2, dtype=torch.float64))


def test_bounds_go_where_their_edges_go() -> None:
    model = ew.bound(ew.KAN([2, (1, 1), 1]), (0, 1, 2), "increasing")
    wide = ew.widen(model, [2, (3, 1), 1])
    assert wide.layers[0].bounds == {(4, 1): frozenset({"increasing"})}
