r"""Which inputs go together: separability, from mixed derivatives that are judged relatively.

With derivatives :math:`f_i, f_{ij}` in inputs that are measured in their standard deviations, f is

* a sum over groups where :math:`f_{ij} = 0`,
* a product over groups where :math:`f f_{ij} - f_i f_j = 0` (that is :math:`(\log f)_{ij} = 0`),
* :math:`F(\sum_A g_A)` where :math:`\partial_i \partial_j \log (f_i / f_j) = 0` and
  :math:`\partial_k (f_i / f_j) = 0` for every k that is in neither group,

for all i, j of different groups. Each is divided by the size of its terms, so that units of x and f
do not matter, and nothing is divided by a value that may be zero in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise.science._derivatives import (
    Derivatives,
    Function,
    Target,
    differentiable,
    points,
    ratio,
    spread_of,
)
from edgewise.science._groups import Groups, check_groups, components, show, without
from edgewise.science._inside import inside, lack

Operation: TypeAlias = Literal["add", "multiply", "inside"]

_WORDS = {"add": "a sum", "multiply": "a product", "inside": "a function of a sum"}


@dataclass(frozen=True)
class Separation:
    """How a function separates over groups of its inputs.

    Attributes:
        operation: What joins the groups: "add", "multiply" or "inside".
        groups: The finest partition of the inputs that matter.
        idle: The inputs that the function does not depend on.
        scores: How strongly each pair of inputs is tied, (inputs, inputs): 0 for a pair that
            separates exactly, of the order of 1 for one that does not.
        turns: For "inside", how much the ratio of the derivatives in inputs i and j changes with a
            third, (inputs, inputs, inputs); None for other operations.
        shift: What is added to the function before it is a product; 0 for other operations.
        tolerance: The score up to which a pair was taken to separate.
    """

    operation: Operation
    groups: Groups
    idle: tuple[int, ...]
    scores: Float[Tensor, "inputs inputs"] = field(repr=False)
    shift: float
    tolerance: float
    turns: Float[Tensor, "inputs inputs inputs"] | None = field(default=None, repr=False)

    @property
    def separable(self) -> bool:
        """Whether there is more than one group."""
        return len(self.groups) > 1

    @property
    def score(self) -> float:
        """The largest score between two groups."""
        return self.between(self.groups)

    def between(self, groups: Sequence[Sequence[int]]) -> float:
        """The largest score between groups of your own; inputs in none of them are one more.

        Raises:
            ConfigError: If an input is in two groups, or is none.
        """
        count = len(self.scores)
        parts = check_groups(groups, count)
        named = {i for part in parts for i in part}
        rest = tuple(i for i in range(count) if i not in named)
        parts = (*parts, rest) if rest else parts
        worst = lack(parts, self.turns) if self.turns is not None else 0.0
        for n, first in enumerate(parts):
            for second in parts[n + 1 :]:
                worst = max(worst, float(self.scores[list(first)][:, list(second)].max()))
        return worst

    def __str__(self) -> str:
        what = _WORDS[self.operation]
        if not self.groups:
            return "a constant: no input matters"
        if self.separable:
            says = f"{what} over {show(self.groups)} (score {self.score:.1e})"
        elif sum(map(len, self.groups)) == 1:
            says = f"a function of one input, {show(self.groups)}"
        else:
            says = f"not {what}: {show(self.groups)} belong together"
        if self.shift:
            says += f", after adding {self.shift:.6g}"
        return says + (f"; idle: {', '.join(map(str, self.idle))}" if self.idle else "")


def separate(
    f: Target,
    x: Any,
    operation: Operation = "add",
    *,
    tolerance: float = 1e-2,
    shift: float | None = 0.0,
) -> Separation:
    r"""Find the finest groups of inputs over which a function is a sum, a product, or a sum inside.

    A score is the mean size of a mixed derivative over that of the terms it is made of (see KAN
    2.0, arXiv 2408.10205, sec. 4.3, for tests by Hessians; there they depend on units). A network
    that was fitted to a relative error e scores some 10 to 100 e where the truth separates.

    Args:
        f: A KAN, a module or a function of tensors, (batch, inputs) to (batch, 1) or (batch,).
        x: Points, (batch, inputs), at least two rows, where f is smooth.
        operation: "add" for :math:`f = \sum_A g_A(x_A)`, "multiply" for :math:`f + s = \prod_A
            g_A(x_A)`, "inside" for :math:`f = F(\sum_A g_A(x_A))`, which holds for sums and
            products, too.
        tolerance: The score up to which a pair of inputs separates.
        shift: The number s, for "multiply"; None looks for the one that gives most groups.

    Returns:
        The groups, with the scores of all pairs.

    Raises:
        ShapeError: If x is not of shape (batch, inputs), or f gives more than one output.
        DataError: If values are missing, an input does not vary, or f has no derivatives.
        ConfigError: If the operation or the tolerance is not accepted.

    Example:
        >>> points = torch.rand(200, 3, dtype=torch.float64)
        >>> found = ew.science.separate(lambda x: x[:, 0] ** 2 + (x[:, 1] + x[:, 2]).exp(), points)
        >>> found.groups
        ((0,), (1, 2))
        >>> ew.science.separate(lambda x: x[:, 0] * (x[:, 1] + x[:, 2]), points, "multiply").groups
        ((0,), (1, 2))
        >>> print(ew.science.separate(lambda x: x[:, 0].sin() + x[:, 1] * x[:, 2], points))
        a sum over {0} {1, 2} (score 0.0e+00)
    """
    check_tolerance(tolerance)
    if operation not in _WORDS:
        known = ", ".join(map(repr, _WORDS))
        raise ConfigError(f"There is no operation {operation!r}. Known are {known}.")
    x = points(x)
    return separated(differentiable(f), x, operation, tolerance, shift)


def separated(
    f: Function, x: Tensor, operation: Operation, tolerance: float, shift: float | None = 0.0
) -> Separation:
    """Separate a function whose derivatives are known."""
    spread = spread_of(x)
    found = f(x).scaled(spread)
    idle = idle_inputs(found, tolerance)
    if operation == "add":
        return _grouped(operation, _add(found), idle, 0.0, tolerance)
    if operation == "inside":
        groups, scores, turned = inside(f, x, found, spread, idle, tolerance)
        return Separation(operation, groups, idle, scores, 0.0, tolerance, turned)
    shifts = [shift] if shift is not None else [0.0, *_shifts(found, idle)]
    tries = [_grouped(operation, _multiply(found, s), idle, s, tolerance) for s in shifts]
    return max(tries, key=lambda s: (len(s.groups), s.shift == 0, -s.score))


def check_tolerance(tolerance: float) -> None:
    """A tolerance is a relative number."""
    if not 0 < tolerance < 1:
        raise ConfigError(f"A tolerance is a relative score between 0 and 1, got {tolerance}.")


def idle_inputs(found: Derivatives, tolerance: float) -> tuple[int, ...]:
    """The inputs whose derivative is too small to matter; all of them for a constant."""
    size = found.gradient.abs().mean(0)
    least = max(0.1 * tolerance * float(size.max()), 1e-13 * float(found.value.abs().max()))
    return tuple(i for i, s in enumerate(size.tolist()) if s <= least)


def _grouped(
    operation: Operation, scores: Tensor, idle: tuple[int, ...], shift: float, tolerance: float
) -> Separation:
    inputs = [i for i in range(len(scores)) if i not in idle]
    scores = without(scores, idle)
    groups = components(inputs, scores > tolerance)
    return Separation(operation, groups, idle, scores, shift, tolerance)


def _add(found: Derivatives) -> Tensor:
    slope = found.gradient.abs().mean(0)
    return ratio(found.hessian.abs().mean(0), (slope * slope[:, None]).sqrt())


def _multiply(found: Derivatives, shift: float) -> Tensor:
    curved = (found.value + shift)[:, None, None] * found.hessian
    crossed = found.gradient[:, :, None] * found.gradient[:, None]
    return ratio((curved - crossed).abs().mean(0), (curved.abs() + crossed.abs()).mean(0))


def _shifts(found: Derivatives, idle: tuple[int, ...]) -> list[float]:
    """For each pair the constant that comes nearest to (f + s) f_ij = f_i f_j."""
    shifts = []
    for i in range(found.gradient.shape[1]):
        for j in range(i):
            h = found.hessian[:, i, j]
            if i in idle or j in idle or not bool(h.any()):
                continue
            lack = found.gradient[:, i] * found.gradient[:, j] - found.value * h
            shifts.append(float((lack * h).sum() / (h * h).sum()))
    return shifts
