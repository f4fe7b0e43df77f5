"""A sheet of paper to draw on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from edgewise.plot._layout import Frame
from edgewise.plot._style import FONT, TEXT, Figure, Point, new_figure


class Sheet:
    """A sheet to draw on in inches, which takes the size of what is on it in the end.

    Args:
        figure: The figure to draw on, an empty one; a new one if not given.
    """

    def __init__(self, figure: Figure | None = None) -> None:
        self.figure: Figure = new_figure(6, 4) if figure is None else figure
        self.figure.set_size_inches(6, 4)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, 6), ylim=(0, 4))
        self.axes.set_axis_off()
        self._corners: list[Point] = []

    def line(self, points: Sequence[Point], gid: str, **style: Any) -> Any:
        """Draw a line through points."""
        from matplotlib.lines import Line2D

        x, y = zip(*points, strict=True)
        self._corners += [p for p in points if not math.isnan(p[0] + p[1])]
        return self.axes.add_line(Line2D(x, y, gid=gid, clip_on=False, **style))

    def square(self, frame: Frame, gid: str, **style: Any) -> Any:
        """Draw a frame."""
        from matplotlib.patches import Rectangle

        x, y, side = frame
        self._corners += [(x, y), (x + side, y + side)]
        return self.axes.add_patch(Rectangle((x, y), side, side, gid=gid, clip_on=False, **style))

    def text(self, x: float, y: float, words: str, **style: Any) -> Any:
        """Write words."""
        words, fonts = _with_fonts(words)
        return self.axes.text(x, y, words, **{**TEXT, "family": fonts, "clip_on": False, **style})

    def width_of(self, text: Any) -> float:
        """The width of words."""
        return text.get_window_extent().width / self.figure.dpi

    def bounds(self) -> tuple[float, float, float, float]:
        """The least x and y and the largest x and y of what is drawn."""
        corners = list(self._corners)
        for text in self.axes.texts:
            corners += self.axes.transData.inverted().transform(text.get_window_extent()).tolist()
        x, y = zip(*corners, strict=True)
        return min(x), min(y), max(x), max(y)

    def finish(self) -> Figure:
        """Cut the sheet to size."""
        left, bottom, right, top = self.bounds()
        left, bottom, right, top = left - 0.12, bottom - 0.12, right + 0.12, top + 0.12
        self.axes.set(xlim=(left, right), ylim=(bottom, top))
        self.figure.set_size_inches(right - left, top - bottom)
        return self.figure


def _with_fonts(words: str) -> tuple[str, list[str]]:
    """Find fonts that have every letter; a letter that no font has becomes a box."""
    if words.isascii() and words.isprintable():
        return words, FONT
    from matplotlib import font_manager

    def letters(path: str) -> set[int]:
        try:
            return set(font_manager.get_font(path).get_charmap())
        except (OSError, RuntimeError):  # a broken font on the machine
            return set()

    known = set().union(*(letters(str(font_manager.findfont(name))) for name in FONT))
    missing = set(map(ord, words)) - known - {ord("\n")}
    if not missing:
        return words, FONT
    for font in font_manager.fontManager.ttflist:
        if not font.name.startswith("Last Resort") and missing <= letters(font.fname):
            return words, [*FONT, font.name]
    return "".join("□" if ord(letter) in missing else letter for letter in words), FONT
