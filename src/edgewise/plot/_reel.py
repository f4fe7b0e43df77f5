"""A film: pictures one after the other, and how they are written to a file."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgewise._errors import ConfigError, MissingExtraError, require
from edgewise._io import PathLike
from edgewise.plot._style import Figure


class Film:
    """Pictures one after the other, on one figure; nothing is written unless asked.

    In a notebook it shows itself as a GIF.

    Args:
        figure: The figure on which all pictures are drawn.
        draw: Draws the picture of a number, from 0.
        count: The number of pictures.
        rate: Pictures for each second.
    """

    def __init__(
        self, figure: Figure, draw: Callable[[int], Any], count: int, *, rate: float = 12.0
    ) -> None:
        if not rate > 0:
            raise ConfigError(f"rate is the number of pictures a second, got {rate}.")
        self._figure, self._draw, self._count, self.rate = figure, draw, count, rate

    def __len__(self) -> int:
        """The number of pictures."""
        return self._count

    def frame(self, number: int) -> Figure:
        """Draw one picture, by its number from 0 (from the end if it is negative).

        Raises:
            ConfigError: If there is no such picture.
        """
        if not -self._count <= number < self._count:
            raise ConfigError(f"This film has {self._count} pictures, there is no {number}.")
        self._draw(number % self._count)
        return self._figure

    def animation(self) -> Any:
        """Give it as a Matplotlib animation (`matplotlib.animation.FuncAnimation`)."""
        animation = require("matplotlib.animation", "plot")

        def draw(number: int) -> list[Any]:
            self._draw(number)
            return []

        interval = 1000 / self.rate
        return animation.FuncAnimation(self._figure, draw, frames=self._count, interval=interval)

    def save(self, path: PathLike, *, dpi: float = 100) -> None:
        """Write the film to a file: `.gif`, or `.mp4`, which needs the program ffmpeg.

        Args:
            path: Where to write; its ending tells the format. A file that is there is replaced.
            dpi: Dots per inch.

        Raises:
            ConfigError: If the ending is neither.
            MissingExtraError: If it is `.mp4` and ffmpeg is not installed.
            FileNotFoundError: If the folder does not exist.
        """
        path = Path(path)
        animation = require("matplotlib.animation", "plot")
        ending = path.suffix.lower()
        if ending not in (".gif", ".mp4"):
            raise ConfigError(f"A film is written as .gif or .mp4, got {path.name!r}.")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"There is no folder {path.parent}. Make it first.")
        if ending == ".mp4" and not animation.FFMpegWriter.isAvailable():
            raise MissingExtraError(
                f"To write {path.name} takes the program ffmpeg, which is not installed. Install "
                "it (https://ffmpeg.org), or write a .gif, which takes nothing more."
            )
        kind = animation.PillowWriter if ending == ".gif" else animation.FFMpegWriter
        writer = kind(fps=self.rate)
        if ending == ".mp4":  # the usual pixel format takes even sizes only
            writer.extra_args = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]
        with writer.saving(self._figure, str(path), dpi):
            for number in range(self._count):
                self._draw(number)
                writer.grab_frame()

    def _repr_html_(self) -> str:
        """Show the film in a notebook."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.gif"
            self.save(path)
            data = base64.b64encode(path.read_bytes()).decode()
        return f'<img src="data:image/gif;base64,{data}">'
