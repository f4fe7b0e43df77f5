"""What a fit returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from edgewise._network import KAN


class Outcome(Enum):
    """Why a fit ended."""

    CONVERGED = "converged"
    PERFECT = "perfect"
    OUT_OF_TIME = "out of time"
    INTERRUPTED = "interrupted"
    POOR = "poor"


@dataclass(frozen=True)
class Status:
    """How a fit ended, and what to do next.

    Attributes:
        outcome: The reason.
        message: The same as a sentence.
    """

    outcome: Outcome
    message: str

    @property
    def converged(self) -> bool:
        """Whether the fit went on to its end and found a model that explains the data."""
        return self.outcome in (Outcome.CONVERGED, Outcome.PERFECT)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Step:
    """One accepted step of a solver.

    Attributes:
        index: Its number, from 1, among the steps that led to the result.
        grid: The number of intervals of the splines at this step.
        parameters: The number of trained parameters.
        train: The error on the rows that are fitted.
        held_out: The error on the rows that are held out.
        seconds: The time since the fit began.
    """

    index: int
    grid: int
    parameters: int
    train: float
    held_out: float
    seconds: float


@dataclass(frozen=True)
class Trial:
    """A network that was tried and how far it came.

    Attributes:
        nodes: How many nodes of each layer were switched on.
        grid: The grid at which its held-out error was least.
        held_out: That error.
    """

    nodes: tuple[int, ...]
    grid: int
    held_out: float


@dataclass(frozen=True)
class FitResult:
    """A fitted network and how it came about.

    Attributes:
        model: The network with the least held-out error, on the device and in the precision of the
            one that was given.
        status: How the fit ended.
        history: The accepted steps that led to `model` and went on from it.
        trials: The networks that were tried, from small to large.
        train: The error on the rows that were fitted.
        held_out: The error on the rows that were held out. They chose the grid and the size of the
            network, so this is a little too good; keep rows of your own back for a final test.
        measure: What these errors are: "RMSE" (in units of y), "Huber loss" or "cross-entropy".
        solver: The name of the solver.
        seconds: How long the fit took.
        snapshots: The network at each step of `history`, if they were asked for.
    """

    model: KAN = field(repr=False)
    status: Status
    history: tuple[Step, ...] = field(repr=False)
    trials: tuple[Trial, ...] = field(repr=False)
    train: float
    held_out: float
    measure: str
    solver: str
    seconds: float
    snapshots: tuple[KAN, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return (
            f"{self.model!r}\n"
            f"{self.measure}: {self.held_out:.3g} held out, {self.train:.3g} fitted "
            f"({self.solver}, {self.seconds:.1f} s)\n{self.status}"
        )
