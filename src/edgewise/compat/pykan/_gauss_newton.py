"""Steps on pykan's objective: Levenberg–Marquardt, or what torch has."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgewise.compat.pykan._frame import Frame, Point
from edgewise.compat.pykan._layers import project
from edgewise.compat.pykan._objective import Task

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN

_ENTRIES = 60_000_000
_MOST = 1000
"""With more parameters a step takes longer than what it saves."""


class Stepper(ABC):
    """A way to make the objective smaller, step by step."""

    @abstractmethod
    def step(self, task: Task) -> float:
        """Change the model, and give the objective."""

    def forget(self) -> None:
        """Drop what was learned of the objective: the grids have moved."""
        return

    def losses(self) -> tuple[Tensor, Tensor] | None:
        """Give loss and penalty where the last step has led, if they are known."""
        return None


class Torch(Stepper):
    """An optimizer of torch."""

    def __init__(self, model: MultKAN, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer

    def forget(self) -> None:
        """Drop an L-BFGS history of other functions."""
        if isinstance(self.optimizer, torch.optim.LBFGS):
            self.optimizer.state.clear()

    def step(self, task: Task) -> float:
        """Take one step, or 20 iterations of L-BFGS."""

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            passes = self.model.walk(task.x, *task.guard, full=task.lamb > 0)
            value = task.loss(passes[-1].nodes)
            if task.lamb > 0:
                value = value + task.lamb * task.penalize(self.model, passes)
            value.backward()
            return value.detach()

        return float(self.optimizer.step(closure))  # type: ignore[arg-type]


class LevenbergMarquardt(Stepper):
    """Damped Gauss–Newton steps in all parameters (Marquardt 1963, Nielsen 1999)."""

    def __init__(self, model: MultKAN) -> None:
        merge(model)
        self.model, self.damping, self.growth = model, 1e-2, 2.0
        self.point: Point | None = None
        self.frame: Frame | None = None

    def forget(self) -> None:
        """Evaluate the objective anew."""
        self.point = self.frame = None

    @torch.no_grad()
    def step(self, task: Task) -> float:
        """Take one step that lowers the objective, if there is one."""
        if self.frame is None or self.frame.task is not task:
            self.frame, self.point = Frame(self.model, task), None
        frame = self.frame
        point = self.point = frame.evaluate() if self.point is None else self.point
        if not frame.places.size or not math.isfinite(point.value):
            return point.value
        system = frame.linearize(point)
        start = frame.places.read()
        for _ in range(8):
            delta = system.solve(self.damping)
            if delta is None:
                self.damping = max(self.damping, 1e-14) * 10
                continue
            frame.places.write(start, delta)
            new = frame.evaluate()
            if new.value < point.value:
                foreseen = system.foreseen(delta)
                gain = min((point.value - new.value) / max(foreseen, 1e-300), 1e3)
                shrink = max(0.05, 1 - (2 * gain - 1) ** 3)
                self.damping = max(self.damping * min(shrink, 2.0), 1e-14)
                self.growth, self.point = 2.0, new
                return new.value
            self.damping, self.growth = self.damping * self.growth, 2 * self.growth
        frame.places.write(start, torch.zeros_like(start))
        self.growth = 2.0
        return point.value

    def losses(self) -> tuple[Tensor, Tensor] | None:
        """Give loss and penalty where the last step has led, if they are known."""
        if self.point is None or self.frame is None:
            return None
        point = self.point if self.point.sizes else self.frame.measure(self.point)
        return point.loss, self.frame.charge(point)


def extent(model: MultKAN, task: Task) -> tuple[int, int]:
    """Give the rows and columns of a Jacobian."""
    count = sum(
        int((act.mask != 0).sum()) * (act.coef.shape[-1] + 1) + 4 * len(symbolic.active())
        for act, symbolic in model.parts()
    )
    return len(task.x) * model.width_in[-1], count


def is_factored(model: MultKAN, task: Task) -> bool:
    """Whether a Jacobian can be held, and its normal equations are soon solved."""
    rows, count = extent(model, task)
    return rows * count <= _ENTRIES and count <= _MOST


@torch.no_grad()
def merge(model: MultKAN) -> None:
    """Let splines without weight start at zero with the weight 1, so that they can be trained."""
    for act, _ in model.parts():
        dead = (act.scale_sp == 0) & (act.mask != 0)
        if act.scale_sp.requires_grad and bool(dead.any()):
            act.coef.data[dead] = 0.0
            act.scale_sp.data[dead] = 1.0


@torch.no_grad()
def redraw(model: MultKAN, start: int) -> None:
    """Draw the numeric edges anew."""
    draw = torch.Generator().manual_seed(7919 * start + model.seed)
    for act, _ in model.parts():
        share = 1 / math.sqrt(act.in_dim)
        inner = act.grid[:, act.k : -act.k].T
        noise = torch.randn(len(inner), act.in_dim, act.out_dim, generator=draw)
        act.coef.data = project(inner, 0.3 * noise.to(inner), act.grid.data, act.k)
        if act.scale_base.requires_grad:
            base = torch.rand(act.in_dim, act.out_dim, generator=draw) * 2 - 1
            act.scale_base.data = share * base.to(inner)


@torch.no_grad()
def lay_grids(model: MultKAN, x: Tensor, always: bool = False) -> bool:
    """Lay the grids that are off over what comes through them; tell whether any moved."""
    moved = False
    for layer, (act, _) in enumerate(model.parts()):
        inner, wanted = act.grid[:, act.k : -act.k], act.knots_for(x)
        reach = wanted[:, -1] - wanted[:, 0]
        off = ((inner - wanted).abs().amax(1) / reach).amax()
        if always or bool(off > 0.1 / act.num):
            act.update_grid_from_samples(x)
            moved = True
        x = model._one(x, layer)
    return moved


def snapshot(model: MultKAN) -> list[Tensor]:
    """Copy all parameters and grids."""
    return [p.detach().clone() for p in model.parameters()]


def restore(model: MultKAN, state: list[Tensor]) -> None:
    """Set all parameters and grids."""
    for p, value in zip(model.parameters(), state, strict=True):
        p.data = value.clone()
