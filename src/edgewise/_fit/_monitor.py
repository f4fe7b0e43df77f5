"""Keep an eye on a fit: time, progress, and who else looks on."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from edgewise._fit._result import Step
from edgewise._fit._team import Team
from edgewise._network import KAN


class OutOfTime(Exception):
    """The time that the caller gave is over."""


class Monitor:
    """The clock and the progress bar of one fit.

    Args:
        seconds: The time budget; none by default.
        progress: Whether to show a progress bar on standard error.
        task: What the bar is headed with.
        team: The processes that stop together.
        watch: What is shown every step, with a copy of its network.
        snapshots: Whether problems keep a copy of the network of every step.
    """

    def __init__(
        self,
        seconds: float | None,
        progress: bool,
        task: str = "fit",
        team: Team | None = None,
        watch: Callable[[Step, KAN], object] | None = None,
        snapshots: bool = False,
    ) -> None:
        self._team = Team() if team is None else team
        self._begin = time.perf_counter()
        self._budget = seconds
        self._progress = progress
        self._task = task
        self._bar = None
        self._watch = watch
        self.snapshots = snapshots
        self.steps = 0

    def __enter__(self) -> Self:
        if self._progress:
            from tqdm import tqdm

            self._bar = tqdm(
                desc=self._task,
                unit=" steps",
                leave=False,
                dynamic_ncols=True,
                mininterval=0.1 if sys.stderr.isatty() else 1.0,  # logs keep every state
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()

    @property
    def seconds(self) -> float:
        """The time since the fit began."""
        return time.perf_counter() - self._begin

    def stop(self) -> None:
        """Let the time be over now."""
        self._budget = 0.0

    def check_time(self) -> None:
        """Raise `OutOfTime` when the budget is used up."""
        if self._budget is not None and self._team.any(self.seconds > self._budget):
            raise OutOfTime

    def resume(self, seconds: float, steps: int) -> None:
        """Go on from where an earlier fit was broken off."""
        self._begin = time.perf_counter() - seconds
        self.steps = steps

    def step(self, grid: int, error: float, measure: str, where: str = "held out") -> None:
        """Count a step and show it."""
        self.steps += 1
        if self._bar is not None:
            words = f"grid {grid}, {measure} {error:.3g} {where}"
            self._bar.set_postfix_str(words, refresh=False)
            self._bar.update()

    def show(self, step: Step, model: KAN) -> None:
        """Show an accepted step to who watches; the copy is theirs to keep."""
        if self._watch is not None:
            self._watch(step, copy.deepcopy(model))
