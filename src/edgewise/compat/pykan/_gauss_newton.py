"""Steps on pykan's objective: Levenberg–Marquardt, L-BFGS, Adam."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim.lbfgs import _strong_wolfe

from edgewise.compat.pykan._curvature import Curvature, has_curvature
from edgewise.compat.pykan._frame import Frame, Point
from edgewise.compat.pykan._layers import project
from edgewise.compat.pykan._lbfgs import Memory
from edgewise.compat.pykan._moments import Functions
from edgewise.compat.pykan._objective import Task

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN

_ENTRIES = 60_000_000
_MOST = 1000
"""With more parameters a step takes longer than what it saves."""


_ITERATIONS, _CURVED = 20, 6
"""Iterations in a step of L-BFGS, and from the curvature of edges, which go as far."""
_FLAT = 1e-7
"""An iteration of L-BFGS that lowers the objective by a smaller share ends the step."""
_LEAST = 1e-3
"""What a step has to promise, as a share of the objective, to be tried again shorter."""


class Stepper(ABC):
    """A way to make the objective smaller, step by step."""

    patience = 6
    """A fit ends when so many steps in a row lower the objective by next to nothing; 0 if steps
    need not lower it."""

    @abstractmethod
    def step(self, task: Task) -> float:
        """Change the model, and give the objective."""

    def forget(self) -> None:
        """Drop what was learned of the objective: the grids have moved."""
        return

    def losses(self) -> tuple[Tensor, Tensor] | None:
        """Give loss and penalty where the last step has led, if they are known."""
        return None


class Adam(Stepper):
    """Steps of Adam (Kingma and Ba 2015)."""

    patience = 0

    def __init__(self, model: MultKAN, trained: list[nn.Parameter], lr: float) -> None:
        self.model, self.trained = model, trained
        self.optimizer = torch.optim.Adam(trained, lr=lr)

    def step(self, task: Task) -> float:
        """Take one step; the objective is that before it."""
        value, slopes = task.differentiate(self.model, self.trained, [])
        for p, slope in zip(self.trained, slopes, strict=True):
            p.grad = slope
        self.optimizer.step()
        return value


class QuasiNewton(Stepper):
    """Limited-memory BFGS (Nocedal 1980), from the curvature of edges where it is known."""

    patience = 3

    def __init__(self, model: MultKAN, trained: list[nn.Parameter], lr: float) -> None:
        self.model, self.trained, self.lr = model, trained, lr
        self.memory = Memory(10)
        self.task: Task | None = None
        self.known: list[Functions] = []

    def forget(self) -> None:
        """Drop the functions of the inputs. What was learned of curvature helps on other grids."""
        self.known.clear()

    def step(self, task: Task) -> float:
        """Take some iterations."""
        if task is not self.task:
            self.task = task
            self.known.clear()
        at = partial(self._evaluate, task)
        start = self._read()
        curved = has_curvature(self.model, task)
        inverse = Curvature(self.model, task, self.trained).solve if curved else nn.Identity()
        try:
            value, g = at(start, 0.0, torch.zeros(()))
            for _ in range(_CURVED if curved else _ITERATIONS):
                d = self.memory.direction(g, inverse)
                slope = float(g @ d)
                if slope < 0:
                    short = min(1.0, 1 / float(g.abs().sum()))
                    length = 1.0 if curved or self.memory.pairs else short
                    new_value, new_g, length, _ = _strong_wolfe(
                        at, start, length * self.lr, d, value, g, slope
                    )
                    if new_value < value:
                        self.memory.learn(length * d, new_g - g)
                        gain = value - float(new_value)
                        start, value, g = start + length * d, float(new_value), new_g
                        if gain < _FLAT * value:
                            break
                        continue
                if not self.memory.pairs:
                    break
                self.memory.pairs.clear()  # what it knows may be of other grids
        finally:
            self._write(start)
        return value

    @torch.no_grad()
    def losses(self) -> tuple[Tensor, Tensor] | None:
        """Give loss and penalty where the last step has led."""
        return None if self.task is None else self.task.parts(self.model, self.known)

    def _read(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.trained])

    def _write(self, values: Tensor) -> None:
        parts = values.split([p.numel() for p in self.trained])
        for p, part in zip(self.trained, parts, strict=True):
            p.data = part.view_as(p)

    def _evaluate(
        self, task: Task, start: Tensor, length: float | Tensor, d: Tensor
    ) -> tuple[float, Tensor]:
        """Give the objective and its gradient at a point on a line."""
        self._write(start + length * d)
        value, slopes = task.differentiate(self.model, self.trained, self.known)
        return value, torch.cat([slope.flatten() for slope in slopes])


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
        start, new = frame.places.read(), None
        try:
            new = self._descend(frame, point, start)
        finally:
            if new is None:
                frame.places.write(start, torch.zeros_like(start))
        self.growth, self.point = 2.0, point if new is None else new
        return self.point.value

    def _descend(self, frame: Frame, point: Point, start: Tensor) -> Point | None:
        """Shorten the step from a point until the objective is lower; None if it never is."""
        system = frame.linearize(point)
        for _ in range(8):
            delta = system.solve(self.damping)
            if delta is None:
                self.damping = max(self.damping, 1e-14) * 10
                continue
            frame.places.write(start, delta)
            new, foreseen = frame.evaluate(), system.foreseen(delta)
            if new.value < point.value:
                gain = min((point.value - new.value) / max(foreseen, 1e-300), 1e3)
                shrink = max(0.05, 1 - (2 * gain - 1) ** 3)
                self.damping = max(self.damping * min(shrink, 2.0), 1e-14)
                return new
            self.damping, self.growth = self.damping * self.growth, 2 * self.growth
            if foreseen < _LEAST * point.value:
                break
        return None

    def losses(self) -> tuple[Tensor, Tensor] | None:
        """Give loss and penalty where the last step has led, if they are known."""
        if self.point is None or self.frame is None:
            return None
        return self.point.loss, self.frame.charge(self.point)


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
        if always or act.distance(act.knots_for(x)) > 0.1:
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
