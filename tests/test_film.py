"""Films: each picture shows the network of its step, and files have the format of their name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import edgewise as ew
from builders import put, sample

pytest.importorskip("matplotlib")


def _fitted(**settings: Any) -> tuple[ew.FitResult, torch.Tensor]:
    x = sample(80)
    y = torch.sin(3 * x[:, :1]) * x[:, 1:]
    torch.manual_seed(0)
    model = ew.KAN([2, 3, 2, 1])
    result = ew.fit(
        model, x, y, refine=False, starts=1, sparse=False, seed=0, progress=False, **settings
    )
    return result, x


def _artists(figure: Any, axes: int = 0) -> dict[str, Any]:
    return {str(artist.get_gid()): artist for artist in figure.axes[axes].get_children()}


def test_snapshots_are_the_networks_of_the_steps() -> None:
    result, x = _fitted(snapshots=True)
    y = torch.sin(3 * x[:, :1]) * x[:, 1:]
    assert len(result.snapshots) == len(result.history) > 5
    train_rows = 64  # 0.2 of 80 rows are held out
    for step, model in zip(result.history, result.snapshots, strict=True):
        both = train_rows * step.train**2 + (80 - train_rows) * step.held_out**2
        assert float((model(x) - y).detach().square().sum()) == pytest.approx(both, rel=1e-6)
    assert _fitted()[0].snapshots == ()


def test_who_watches_sees_every_step_with_a_network_of_its_own() -> None:
    seen: list[tuple[ew.Step, ew.KAN]] = []
    plain, x = _fitted()
    result, _ = _fitted(watch=lambda step, model: seen.append((step, model)))
    assert torch.equal(result.model(x), plain.model(x))
    path = [model for step, model in seen if step in result.history]
    assert len(path) == len(result.history)
    kept = min(range(len(path)), key=lambda k: result.history[k].held_out)
    assert torch.equal(path[kept](x), result.model(x))


def test_who_watches_can_end_a_fit() -> None:
    def enough(step: ew.Step, model: ew.KAN) -> None:
        if step.index == 3:
            raise KeyboardInterrupt

    result, _ = _fitted(watch=enough)
    assert result.status.outcome is ew.Outcome.INTERRUPTED
    assert len(result.history) == 3


def test_every_picture_shows_the_edges_of_its_step() -> None:
    result, x = _fitted(snapshots=True)
    film = ew.plot.film(result, x, frames=4)
    stride = math.ceil(len(result.history) / 4)
    kept = sorted(range(len(result.history) - 1, -1, -stride))
    assert len(film) == len(kept) <= 4
    for number, step in enumerate(kept):
        drawn = _artists(film.frame(number))
        alone = _artists(ew.plot.network(result.snapshots[step], x))
        for e in result.model.edges():
            curve = f"curve-{e.layer}-{e.source}-{e.target}"
            ours, theirs = (torch.tensor(a[curve].get_ydata()) for a in (drawn, alone))
            ours, theirs = ours - ours.min(), theirs - theirs.min()  # a frame may be elsewhere
            assert torch.allclose(ours / ours.max(), theirs / theirs.max(), atol=1e-9)
            assert drawn[curve].get_alpha() == pytest.approx(alone[curve].get_alpha())
        below = _artists(film.frame(number), 1)
        assert list(below["held_out"].get_ydata()) == [
            s.held_out for s in result.history[: step + 1]
        ]
        assert below["words"].get_text().startswith(f"step {step + 1} of {len(result.history)}")


def test_networks_alone_make_a_film_and_locked_edges_change_their_color() -> None:
    model = ew.KAN([2, 2, 1])
    locked = ew.KAN([2, 2, 1])
    put(locked, (0, 1, 0), "sin", 1.0, 0.0, 1.0, 0.0)
    film = ew.plot.film([model, locked], sample(30))
    colors = [_artists(film.frame(k))["curve-0-1-0"].get_color() for k in (0, 1)]
    assert colors[0] != colors[1]
    assert len(film.frame(-1).axes) == 1


def test_a_film_is_written_as_gif(tmp_path: Path) -> None:
    from PIL import Image

    film = ew.plot.film([ew.KAN([2, 2, 1]) for _ in range(3)], sample(30), rate=10)
    film.save(tmp_path / "film.gif", dpi=40)
    with Image.open(tmp_path / "film.gif") as image:
        assert (image.n_frames, image.info["duration"]) == (3, 100)  # type: ignore[attr-defined]
    assert film._repr_html_().startswith('<img src="data:image/gif;base64,R0lGOD')


def test_what_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import animation

    film = ew.plot.film([ew.KAN([2, 1])], sample(30))
    monkeypatch.setattr(animation.FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    with pytest.raises(ew.MissingExtraError, match=r"the program ffmpeg, .* or write a \.gif"):
        film.save(tmp_path / "film.mp4")
    with pytest.raises(ew.ConfigError, match=r"as \.gif or \.mp4, got 'film.avi'"):
        film.save(tmp_path / "film.avi")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        film.save(tmp_path / "none" / "film.gif")
    with pytest.raises(ew.ConfigError, match="has 1 pictures, there is no 1"):
        film.frame(1)
    assert list(tmp_path.iterdir()) == []


def test_what_makes_no_film_says_so() -> None:
    result, x = _fitted()
    for fitted, message in (
        (result, "snapshots=True"),
        ([], "at least one network"),
        ([ew.KAN([2, 1]), ew.KAN([2, 2, 1])], "networks of the same widths"),
    ):
        with pytest.raises((ew.ConfigError, ew.ShapeError), match=message):
            ew.plot.film(fitted, x)
    with pytest.raises(ew.ConfigError, match="keeps no snapshots"):
        _fitted(snapshots=True, checkpoint="nowhere")
