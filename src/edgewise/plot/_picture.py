"""A figure that a notebook shows, whether or not pyplot was ever imported."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A Matplotlib figure that shows itself as the last value of a notebook's cell."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=self.dpi, bbox_inches="tight")
        return file.getvalue()
