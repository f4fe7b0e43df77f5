"""pykan's `kan.LBFGS`: limited-memory BFGS for training loops of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.lbfgs import _strong_wolfe


class LBFGS(torch.optim.LBFGS):
    """Torch's L-BFGS with one more setting, `tolerance_ys`; unlike pykan's it seeds nothing.

    Torch leaves a pair of differences out of the history if their product is below 1e-10, which
    stops progress long before machine precision; here this bound is free.

    Args:
        params: The parameters.
        lr: The step length, or where the line search begins.
        max_iter: Iterations in each `step`.
        max_eval: Calls of the closure in each `step`; 1.25 `max_iter` by default.
        tolerance_grad: Stop at a gradient of this size.
        tolerance_change: Stop at a change of parameters or loss of this size.
        tolerance_ys: Leave pairs of differences with a smaller product out.
        history_size: How many pairs are kept.
        line_search_fn: "strong_wolfe" or None.

    Example:
        >>> from edgewise.compat.pykan import LBFGS
        >>> u = torch.zeros(2, requires_grad=True)
        >>> optimizer = LBFGS([u], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (u[0] - 1) ** 2 + 100 * (u[1] - u[0] ** 2) ** 2
        ...     loss.backward()
        ...     return loss
        >>> for _ in range(3):
        ...     loss = optimizer.step(closure)
        >>> torch.allclose(u, torch.ones(2), atol=1e-3)
        True
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        tolerance_ys: float = 1e-32,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            max_iter=max_iter,
            max_eval=max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )
        self.param_groups[0]["tolerance_ys"] = tolerance_ys

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Take up to `max_iter` iterations; the loss at the beginning is returned."""
        group, state = self.param_groups[0], self.state[self._params[0]]
        closure = torch.enable_grad()(closure)
        first = closure()
        loss, gradient = _number(first), self._gather_flat_grad()
        evaluations = 1
        memory = state.setdefault("memory", Memory(group["history_size"], group["tolerance_ys"]))
        state["func_evals"] = state.get("func_evals", 0) + 1
        if gradient.abs().max() <= group["tolerance_grad"]:
            return first
        for _ in range(group["max_iter"]):
            direction = memory.direction(gradient)
            start = 1.0 if memory.pairs else min(1.0, 1.0 / float(gradient.abs().sum()))
            slope = float(gradient @ direction)
            if slope > -group["tolerance_change"]:
                break
            before, before_loss = gradient, loss
            length, loss, gradient, calls = self._advance(
                closure, direction, start * group["lr"], loss, gradient, slope
            )
            evaluations += calls
            state["func_evals"] += calls
            s, y = direction * length, gradient - before
            memory.learn(s, y)
            if (
                evaluations >= group["max_eval"]
                or float(gradient.abs().max()) <= group["tolerance_grad"]
                or float(s.abs().max()) <= group["tolerance_change"]
                or abs(loss - before_loss) < group["tolerance_change"]
            ):
                break
        return first

    def _advance(
        self,
        closure: Callable[[], Any],
        direction: Tensor,
        length: float,
        loss: float,
        gradient: Tensor,
        slope: float,
    ) -> tuple[float, float, Tensor, int]:
        """Go along a direction: the length, the loss and gradient there, and the calls it took."""
        if self.param_groups[0]["line_search_fn"] is None:
            self._add_grad(length, direction)
            return length, _number(closure()), self._gather_flat_grad(), 1
        x = self._clone_param()

        def at(x: Any, t: Any, d: Tensor) -> Any:
            return self._directional_evaluate(closure, x, t, d)

        loss, gradient, length, calls = _strong_wolfe(
            at, x, length, direction, loss, gradient, slope
        )
        self._add_grad(length, direction)
        return float(length), loss, gradient, calls


def _number(loss: Any) -> float:
    return torch.as_tensor(loss).detach().item()


class Memory:
    """The last steps and what they changed in the gradient."""

    def __init__(self, size: int, least: float = 1e-32) -> None:
        self.size, self.least = size, least
        self.pairs: list[tuple[Tensor, Tensor, float]] = []  # (s, y, 1 / ys), the newest last

    def learn(self, s: Tensor, y: Tensor) -> None:
        """Add a step and a difference of gradients, unless the curvature is none."""
        if (ys := float(y @ s)) > self.least:
            self.pairs.append((s, y, 1.0 / ys))
            del self.pairs[: -self.size]

    def direction(
        self, gradient: Tensor, inverse: Callable[[Tensor], Tensor] = lambda q: q
    ) -> Tensor:
        """Minus the gradient times the inverse of the curvature so far (Nocedal 1980).

        Args:
            gradient: The gradient.
            inverse: A guess of that inverse, whose size does not matter once there are steps.
        """
        q, alphas = -gradient, []
        for s, y, rho in reversed(self.pairs):
            alphas.append(float(s @ q) * rho)
            q = q - alphas[-1] * y
        q = inverse(q)
        if self.pairs:
            _, y, rho = self.pairs[-1]
            q = q / (rho * float(y @ inverse(y)))
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + (alpha - float(y @ q) * rho) * s
        return q
