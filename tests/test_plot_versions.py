"""The picture of a history: every version, every line, no two in one place."""

from __future__ import annotations

import random
from typing import Any

import pytest

import edgewise as ew

pytest.importorskip("matplotlib")


def _history(parents: list[int | None]) -> ew.History:
    history, model = ew.History(), ew.KAN([1, 1])
    for number, parent in enumerate(parents, 1):
        history.add(model, note=f"note {number}", parent=parent)
    return history


def _artists(figure: Any, kind: str) -> dict[int, Any]:
    found = {}
    for artist in figure.axes[0].get_children():
        word, _, number = str(artist.get_gid()).partition("-")
        if word == kind:
            found[int(number)] = artist
    return found


def _random_parents(seed: int, count: int) -> list[int | None]:
    draw = random.Random(seed)
    return [None, *(draw.choice([k, k, draw.randint(1, k)]) for k in range(1, count))]


@pytest.mark.parametrize(
    "parents",
    [
        [None],
        [None, 1, 2],
        [None, 1, 1, 1],
        [None, 1, 2, 1, 4, 2],
        *map(_random_parents, range(5), [50] * 5),
    ],
)
def test_lines_lead_from_parents_and_pass_no_other_version(parents: list[int | None]) -> None:
    history = _history(parents)
    figure = ew.plot.versions(history)
    dots, lines = _artists(figure, "version"), _artists(figure, "line")
    places = {n: (d.get_xdata()[0], d.get_ydata()[0]) for n, d in dots.items()}
    assert set(places) == {v.id for v in history}
    assert len(set(places.values())) == len(places)
    assert set(lines) == {v.id for v in history if v.parent is not None}
    for number, line in lines.items():
        points = list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        parent = history.parent(number)
        assert parent is not None
        assert (points[0], points[-1]) == (places[parent], places[number])
        (x, top), (end, bottom) = points[-2], points[-1]
        assert x == end  # down to the version, past no other
        for other, (at, height) in places.items():
            if other not in (number, parent):
                assert not (at == x and bottom < height < top)


def test_rows_say_what_a_version_is() -> None:
    history = _history([None, 1])
    history.add(ew.KAN([2, 1]), note="a note\nof " + 40 * "two lines ", name="0.1")
    figure = ew.plot.versions(history)
    assert _artists(figure, "note")[1].get_text() == "note 1"
    assert _artists(figure, "note")[3].get_text().startswith("a note of two lines")
    assert len(_artists(figure, "note")[3].get_text()) == 70
    assert _artists(figure, "name").keys() == {3}
    assert _artists(figure, "network")[3].get_text() == "KAN([2, 1], grid=3, 12 parameters)"
    for text in figure.axes[0].texts:
        assert text.get_window_extent().x1 <= figure.bbox.x1


def test_the_current_version_has_another_color() -> None:
    history = _history([None, 1, 2])
    history.checkout(2)
    colors = {n: d.get_color() for n, d in _artists(ew.plot.versions(history), "version").items()}
    assert colors[1] == colors[3] != colors[2]


def test_no_versions_say_so() -> None:
    with pytest.raises(ew.ConfigError, match="the history is empty"):
        ew.plot.versions(ew.History())
