"""pykan's objective: a mean loss over rows, and a penalty on edges."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from edgewise.compat.pykan._moments import Functions, Step, gradient, walk

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN, Pass


_STIFFNESS = 3.0
"""Second derivatives of the penalty, in those of the quadratic function above it (decision 21)."""
_NOTHING = 1e-5
"""The size of an edge that does not get smaller."""


class Rule(ABC):
    """A loss: a mean over rows."""

    @abstractmethod
    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the mean."""

    @abstractmethod
    def gradient(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the derivatives (batch, outputs) of the mean in the predictions."""


class Curved(Rule):
    """A loss whose second derivatives are known."""

    @abstractmethod
    def root(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give R (batch, rows, outputs), where R^T R / batch are the second derivatives."""

    @abstractmethod
    def spread(self, y: Tensor) -> float:
        """Give the loss of the best constant."""


class Squares(Curved):
    """The mean square over rows and outputs."""

    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the mean."""
        return (prediction - y.reshape(prediction.shape)).square().mean()

    def root(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give multiples of the identity."""
        n = prediction.shape[1]
        eye = torch.eye(n, dtype=prediction.dtype, device=prediction.device)
        return (eye * math.sqrt(2 / n)).expand(len(prediction), n, n)

    def gradient(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the residuals, scaled."""
        return (prediction - y.reshape(prediction.shape)) * (2 / prediction.numel())

    def spread(self, y: Tensor) -> float:
        """Give the variance."""
        return float((y - y.mean(0)).square().mean())


class Classes(Curved):
    """The cross-entropy of class labels."""

    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the mean."""
        return nn.functional.cross_entropy(prediction, y)

    def root(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give R with R^T R = diag(p) - p p^T."""
        p = prediction.softmax(1)
        return torch.diag_embed(p.sqrt()) - p.sqrt().unsqueeze(2) * p.unsqueeze(1)

    def gradient(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give what the probabilities miss."""
        missed = prediction.softmax(1)
        missed[torch.arange(len(y), device=y.device), y] -= 1
        return missed / len(y)

    def spread(self, y: Tensor) -> float:
        """Give the entropy of the labels."""
        share = torch.bincount(y).double() / len(y)
        return -float(torch.xlogy(share, share).sum())


class Other(Rule):
    """A function of the caller's."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.function = function

    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give its value."""
        return self.function(prediction, y)

    def gradient(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Differentiate it."""
        with torch.enable_grad():
            p = prediction.detach().requires_grad_()
            return torch.autograd.grad(self.function(p, y), p)[0]


def has_functions(model: MultKAN) -> bool:
    """Whether some edge has one."""
    return any(symbolic.active() for _, symbolic in model.parts())


@dataclass(frozen=True)
class Task:
    """Rows, a loss and a penalty."""

    x: Tensor
    y: Tensor
    rule: Rule
    lamb: float
    weights: tuple[float, float, float, float]
    metric: str
    singularity_avoiding: bool
    y_th: float

    @property
    def guard(self) -> tuple[bool, float]:
        """What `walk` wants to know of singularities."""
        return self.singularity_avoiding, self.y_th

    def part(self, rows: Tensor) -> Task:
        """Take some rows."""
        return replace(self, x=self.x[rows], y=self.y[rows])

    def loss(self, prediction: Tensor) -> Tensor:
        """Give the mean loss."""
        return self.rule.loss(prediction, self.y)

    def value(self, model: MultKAN) -> Tensor:
        """Give the objective, to be differentiated."""
        passes = model.walk(self.x, *self.guard, full=self.lamb > 0)
        loss = self.loss(passes[-1].nodes)
        return loss + self.lamb * self.penalize(model, passes) if self.lamb > 0 else loss

    def parts(self, model: MultKAN, known: list[Functions] | None = None) -> tuple[Tensor, Tensor]:
        """Give the loss and the penalty.

        Args:
            model: The network.
            known: The functions of its inputs from an earlier call; they are put here.
        """
        if has_functions(model):
            passes = model.walk(self.x, *self.guard)
            return self.loss(passes[-1].nodes), self.penalize(model, passes)
        steps = walk(model, self.x, [] if known is None else known)
        return self.loss(steps[-1].nodes), self.charge(model, self._measure(model, steps))

    def differentiate(
        self, model: MultKAN, trained: Sequence[nn.Parameter], known: list[Functions]
    ) -> tuple[float, list[Tensor]]:
        """Give the objective and its derivatives in the parameters; `known` as in `parts`.

        With a penalty and without functions on edges no edge is evaluated for itself.
        """
        if self.lamb == 0 or has_functions(model):
            with torch.enable_grad():
                value = self.value(model)
                slopes = torch.autograd.grad(
                    value, trained, allow_unused=True, materialize_grads=True
                )
            return float(value.detach()), list(slopes)
        steps = walk(model, self.x, known, slopes=True)
        output = steps[-1].nodes
        slopes = self.slopes(model, self._measure(model, steps))
        found = gradient(model, steps, self.rule.gradient(output, self.y), slopes)
        value = self.loss(output) + slopes.value
        return float(value), [found[p] if p in found else torch.zeros_like(p) for p in trained]

    def stiffness(self, model: MultKAN, steps: list[Step]) -> list[Tensor]:
        """How stiff the penalty makes each edge (sums, inputs)."""
        slopes = self.slopes(model, self._measure(model, steps)).by_sizes
        return [stiffness(slope, step.sizes) for slope, step in zip(slopes, steps, strict=True)]

    def _measure(self, model: MultKAN, steps: list[Step]) -> Measured:
        from edgewise.compat.pykan._network import deviation

        return Measured(
            [step.sizes for step in steps],
            [deviation(step.x) for step in steps],
            [deviation(step.sums) for step in steps] if self.backward else [],
            [act.coef.detach() for act, _ in model.parts()],
        )

    def penalize(self, model: MultKAN, passes: list[Pass]) -> Tensor:
        """Give the penalty of what passed through a network."""
        from edgewise.compat.pykan._network import deviation

        sizes = []
        for p in passes:
            assert p.numeric is not None
            named = p.symbolic if self.whole else None
            sizes.append(deviation(p.numeric if named is None else p.numeric + named))
        spreads = [deviation(p.x) for p in passes]
        sums = [deviation(p.sums.detach()) for p in passes] if self.backward else []
        coefs = [act.coef for act, _ in model.parts()]
        return self.charge(model, Measured(sizes, spreads, sums, coefs))

    @property
    def backward(self) -> bool:
        """Whether the penalty is of scores that go back from the outputs."""
        return self.metric in ("edge_backward", "node_backward")

    @property
    def whole(self) -> bool:
        """Whether the penalty is of whole edges, not of their splines alone."""
        return self.metric not in ("edge_forward_spline_n", "edge_forward_spline_u")

    def charge(self, model: MultKAN, measured: Measured) -> Tensor:
        """Give the penalty."""
        from edgewise.compat.pykan._attribution import backward_scores
        from edgewise.compat.pykan._network import coefficients, penalty

        sizes, spreads, sums, coefs = measured
        if self.metric in ("edge_forward_spline_n", "edge_forward_sum"):
            scales = [size / (spread + 0.1) for size, spread in zip(sizes, spreads, strict=True)]
        elif self.metric == "edge_forward_spline_u":
            scales = sizes
        elif self.metric == "edge_backward":
            scales = [e.mean(0) for e in backward_scores(model, sizes, sums).edges]
        else:
            nodes = backward_scores(model, sizes, sums).nodes
            scales = [
                backward_scores(model, sizes[:n], sums[:n], nodes[n].mean(0)).nodes[0]
                for n in range(1, model.depth + 1)
            ]
        return penalty(scales, *self.weights[:2]) + coefficients(coefs, *self.weights[2:])

    def slopes(self, model: MultKAN, measured: Measured) -> Slopes:
        """Give what `charge` does, times lamb, and its derivatives."""
        if self.backward:
            return self._slopes_by_autograd(model, measured)
        sizes, spreads, _, coefs = measured
        value, by_sizes, by_spreads, by_coefs = sizes[0].new_zeros(()), [], [], []
        for size, spread, coef in zip(sizes, spreads, coefs, strict=True):
            relative = self.metric != "edge_forward_spline_u"
            share = 1 / (spread + 0.1) if relative else torch.ones_like(spread)
            scale = size * share
            charge, by_scale = penalty_and_slope(scale, *self.weights[:2])
            more, by_coef = coefficients_and_slope(coef, *self.weights[2:])
            value = value + charge + more
            by_size = by_scale * share
            by_sizes.append(self.lamb * by_size)
            by_spreads.append(-self.lamb * relative * (by_size * scale).sum(0))
            by_coefs.append(self.lamb * by_coef)
        return Slopes(self.lamb * value, by_sizes, by_spreads, by_coefs)

    def _slopes_by_autograd(self, model: MultKAN, measured: Measured) -> Slopes:
        sizes, spreads, sums, coefs = measured
        with torch.enable_grad():
            given = [t.detach().requires_grad_() for t in (*sizes, *spreads, *coefs)]
            n = len(sizes)
            parts = given[:n], given[n : 2 * n], given[2 * n :]
            total = self.lamb * self.charge(model, Measured(parts[0], parts[1], sums, parts[2]))
            found = torch.autograd.grad(total, given, materialize_grads=True, allow_unused=True)
        return Slopes(total.detach(), list(found[:n]), list(found[n : 2 * n]), list(found[2 * n :]))


class Measured(NamedTuple):
    """What a penalty is made of, for each layer."""

    sizes: list[Tensor]  # (sums, inputs): standard deviations of the edges
    spreads: list[Tensor]  # (inputs,): those of the inputs
    sums: list[Tensor]  # (sums,): those of the sums, if the task is `backward`
    coefs: Sequence[Tensor]  # (inputs, sums, basis): the coefficients of the splines


class Slopes(NamedTuple):
    """A penalty and its derivatives, for each layer."""

    value: Tensor
    by_sizes: list[Tensor]  # (sums, inputs)
    by_spreads: list[Tensor]  # (inputs,)
    by_coefs: list[Tensor]  # (inputs, sums, basis)


def stiffness(by_size: Tensor, size: Tensor) -> Tensor:
    r"""The second derivatives of a penalty in the sizes of edges.

    They are a multiple of those of the quadratic function :math:`w s^2 / (2 s_0)` that touches
    :math:`w s` from above.
    """
    return _STIFFNESS * by_size.clamp_min(0) / size.clamp_min(_NOTHING)


def penalty_and_slope(size: Tensor, lamb_l1: float, lamb_entropy: float) -> tuple[Tensor, Tensor]:
    """Give the penalty of one layer's edges (sums, inputs), and its derivative."""
    value, slope = lamb_l1 * size.sum(), torch.full_like(size, lamb_l1)
    for side in (1, 0):
        whole = size.sum(side, keepdim=True) + 1
        share = size / whole
        more = share + 1e-4
        bits = torch.log2(more)
        weight = lamb_entropy / size.shape[1 - side]
        value = value - weight * (share * bits).sum()
        by_share = bits + share / (more * math.log(2))
        slope -= (by_share - (by_share * share).sum(side, keepdim=True)) * (weight / whole)
    return value, slope


def coefficients_and_slope(
    coef: Tensor, lamb_coef: float, lamb_coefdiff: float
) -> tuple[Tensor, Tensor]:
    """Give the penalty of one layer's coefficients (inputs, sums, basis), and its derivative."""
    value, slope = coef.new_zeros(()), torch.zeros_like(coef)
    if lamb_coef:
        weight = lamb_coef / coef.shape[1]
        value, slope = value + weight * coef.abs().sum(), slope + weight * coef.sign()
    if lamb_coefdiff:
        weight, steps = lamb_coefdiff / coef.shape[1], coef.diff(dim=-1)
        value = value + weight * steps.abs().sum()
        sign = weight * steps.sign()
        slope[..., 1:] += sign
        slope[..., :-1] -= sign
    return value, slope
