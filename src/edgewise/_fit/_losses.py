"""What a fit makes small: a loss with its gradient and its Gauss–Newton curvature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise._errors import ConfigError


class Loss(ABC):
    """A mean over samples of a convex function of the prediction."""

    measure: ClassVar[str]
    """What `error` is called in reports."""

    @abstractmethod
    def samples(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the loss of each sample, (batch,)."""

    @abstractmethod
    def gradient(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the derivative of each sample's loss in the prediction, (batch, outputs)."""

    @abstractmethod
    def root(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give A with `A^T A` the curvature of each sample's loss, (batch, rows, outputs)."""

    def constant(self, y: Tensor, outputs: int) -> Float[Tensor, " outputs"]:
        """Give the best prediction without looking at x."""
        del outputs
        return y.mean(0)

    def objective(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give what a fit makes small, (batch,): the loss, and a ridge where a loss has one."""
        return self.samples(prediction, y)

    def value(
        self,
        prediction: Float[Tensor, "batch outputs"],
        y: Tensor,
        weights: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, ""]:
        """Give the mean of the objective."""
        samples = self.objective(prediction, y)
        return samples.mean() if weights is None else samples @ weights / weights.sum()

    def error(self, value: float, outputs: int) -> float:
        """Turn a mean loss into the number that reports show."""
        del outputs
        return value


@dataclass(frozen=True)
class Squared(Loss):
    """Half the squared difference; reported as the root of the mean square over all outputs."""

    measure: ClassVar[str] = "RMSE"

    def samples(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give half the squared norm of each sample's residual."""
        return 0.5 * (prediction - y).square().sum(-1)

    def gradient(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the residual."""
        return prediction - y

    def root(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the identity."""
        eye = torch.eye(prediction.shape[1], dtype=prediction.dtype, device=prediction.device)
        return eye.expand(len(prediction), -1, -1)

    def error(self, value: float, outputs: int) -> float:
        """Give the root mean square, in units of y."""
        return (2 * value / outputs) ** 0.5


@dataclass(frozen=True)
class Huber(Loss):
    """Squared up to `delta`, linear beyond: outliers pull no more than `delta` (Huber 1964).

    Args:
        delta: Where the loss turns linear, in units of y.
    """

    delta: float = 1.0
    measure: ClassVar[str] = "Huber loss"

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise ConfigError(f"Huber's delta must be positive, got {self.delta}.")

    def samples(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the loss of each sample, summed over the outputs."""
        total = torch.nn.functional.huber_loss(prediction, y, reduction="none", delta=self.delta)
        return total.sum(-1)

    def gradient(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the residual, held between -delta and delta."""
        return (prediction - y).clamp(-self.delta, self.delta)

    def root(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the root of the weights of iterative re-weighting: min(1, delta / |r|)."""
        weight = (self.delta / (prediction - y).abs()).clamp(max=1.0)
        return torch.diag_embed(weight.sqrt())


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of the softmax of the outputs against class numbers (in nats).

    Args:
        ridge: The weight of the mean of half the squared outputs, which is added while fitting.
            Without it the outputs grow without end where classes can be separated, and the border
            between them is left to chance.
    """

    ridge: float = 1e-3
    measure: ClassVar[str] = "cross-entropy"

    def __post_init__(self) -> None:
        if self.ridge < 0:
            raise ConfigError(f"ridge cannot be negative, got {self.ridge}.")

    def constant(self, y: Int[Tensor, " batch"], outputs: int) -> Float[Tensor, " outputs"]:
        """Give the logarithms of the shares of the classes; an absent class counts half a row."""
        counts = torch.bincount(y, minlength=outputs).to(torch.float64)
        return torch.log(counts.clamp_min(0.5) / len(y))

    def samples(
        self, prediction: Float[Tensor, "batch outputs"], y: Int[Tensor, " batch"]
    ) -> Tensor:
        """Give the cross-entropy of each sample, without the ridge."""
        return torch.nn.functional.cross_entropy(prediction, y, reduction="none")

    def objective(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the cross-entropy of each sample with the ridge."""
        return self.samples(prediction, y) + 0.5 * self.ridge * prediction.square().sum(-1)

    def gradient(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        """Give the probabilities minus the one-hot labels, and the ridge's part."""
        labels = torch.nn.functional.one_hot(y, prediction.shape[1])
        return prediction.softmax(-1) - labels + self.ridge * prediction

    def root(self, prediction: Float[Tensor, "batch outputs"], y: Tensor) -> Tensor:
        r"""Give A with :math:`A^T A = \mathrm{diag}(p) - p p^T + \epsilon I` (Schraudolph 2002)."""
        p = prediction.softmax(-1)
        q = p.sqrt()
        curvature = torch.diag_embed(q) - q.unsqueeze(-1) * p.unsqueeze(-2)
        eye = torch.eye(p.shape[1], dtype=p.dtype, device=p.device)
        ridge = (self.ridge**0.5 * eye).expand_as(curvature)
        return torch.cat([curvature, ridge], 1)


LOSSES: dict[str, Loss] = {"squared": Squared(), "huber": Huber(), "cross-entropy": CrossEntropy()}
