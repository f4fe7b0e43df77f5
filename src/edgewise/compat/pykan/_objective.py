"""pykan's objective: a mean loss over rows, and a penalty on edges."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgewise.compat.pykan._moments import Functions, functions, moments

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN, Pass


class Rule(ABC):
    """A loss: a mean over rows."""

    @abstractmethod
    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the mean."""


class Curved(Rule):
    """A loss whose second derivatives are known."""

    @abstractmethod
    def root(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give R (batch, rows, outputs), where R^T R / batch are the second derivatives."""

    @abstractmethod
    def gradient(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the derivatives (batch, outputs) of the mean in the predictions."""

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

    def value(self, model: MultKAN, known: list[Functions] | None = None) -> Tensor:
        """Give the objective, to be differentiated; `known` as in `parts`."""
        if self.lamb == 0:
            return self.loss(model.walk(self.x, *self.guard, full=False)[-1].nodes)
        loss, penalty = self.parts(model, known)
        return loss + self.lamb * penalty

    def parts(self, model: MultKAN, known: list[Functions] | None = None) -> tuple[Tensor, Tensor]:
        """Give the loss and the penalty, to be differentiated.

        Args:
            model: The network.
            known: The functions of its inputs from an earlier call; they are put here.
        """
        if not any(symbolic.active() for _, symbolic in model.parts()):
            return self._by_moments(model, [] if known is None else known)
        passes = model.walk(self.x, *self.guard)
        return self.loss(passes[-1].nodes), self.penalize(model, passes)

    def _by_moments(self, model: MultKAN, known: list[Functions]) -> tuple[Tensor, Tensor]:
        """Evaluate a network without symbolic edges, no edge for itself."""
        from edgewise.compat.pykan._network import root

        x, sizes, inputs, sums = self.x, [], [], []
        for layer, (act, _) in enumerate(model.parts()):
            if layer == 0 and not known:
                known.append(functions(act, x, slopes=False))
            f = known[0] if layer == 0 else functions(act, x, slopes=True)
            inputs.append(x)
            y, variances = moments(act, x, f)
            sizes.append(root(variances))
            sums.append(y)
            x = model.combine(y, layer)[-1]
        return self.loss(x), self._penalty(model, sizes, inputs, sums)

    def penalize(self, model: MultKAN, passes: list[Pass]) -> Tensor:
        """Give the penalty of what passed through a network."""
        from edgewise.compat.pykan._network import deviation

        sizes = []
        for p in passes:
            assert p.numeric is not None
            named = p.symbolic if self.whole else None
            sizes.append(deviation(p.numeric if named is None else p.numeric + named))
        return self._penalty(model, sizes, [p.x for p in passes], [p.sums for p in passes])

    def _penalty(
        self, model: MultKAN, sizes: list[Tensor], inputs: list[Tensor], sums: list[Tensor]
    ) -> Tensor:
        from edgewise.compat.pykan._network import deviation

        spreads = [deviation(x) for x in inputs]
        ends = [deviation(y.detach()) for y in sums] if self.backward else []
        coefs = [act.coef for act, _ in model.parts()]
        return self.charge(model, sizes, spreads, ends, coefs)

    @property
    def backward(self) -> bool:
        """Whether the penalty is of scores that go back from the outputs."""
        return self.metric in ("edge_backward", "node_backward")

    @property
    def whole(self) -> bool:
        """Whether the penalty is of whole edges, not of their splines alone."""
        return self.metric not in ("edge_forward_spline_n", "edge_forward_spline_u")

    def charge(
        self,
        model: MultKAN,
        sizes: list[Tensor],
        spreads: list[Tensor],
        sums: list[Tensor],
        coefs: Sequence[Tensor],
    ) -> Tensor:
        """Give the penalty from standard deviations and coefficients.

        Args:
            model: The network.
            sizes: Those of the edges of each layer (sums, inputs).
            spreads: Those of its inputs (inputs,).
            sums: Those of its sums (sums,), if `backward`.
            coefs: The coefficients of its splines (inputs, sums, basis).
        """
        from edgewise.compat.pykan._attribution import backward_scores
        from edgewise.compat.pykan._network import coefficients, penalty

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
