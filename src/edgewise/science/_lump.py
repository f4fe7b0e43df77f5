"""Groups that enter through one number, and how they nest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.science._derivatives import Target, differentiable, points, spread_of
from edgewise.science._groups import Group, Groups, check_groups, components, show
from edgewise.science._inside import turns, unturned
from edgewise.science._separate import check_tolerance


@dataclass(frozen=True)
class Lump:
    """Whether a group of inputs enters a function through one number.

    Attributes:
        group: The inputs of the group.
        rest: The other inputs.
        scores: How much the direction of the gradient in the group turns, at each of its inputs,
            with each of the others, (group, rest).
        tolerance: The score up to which it does not turn.
    """

    group: Group
    rest: Group
    scores: Float[Tensor, "group rest"] = field(repr=False)
    tolerance: float

    @property
    def score(self) -> float:
        """The largest score; 0 where nothing can turn."""
        return float(self.scores.max()) if self.scores.numel() else 0.0

    @property
    def holds(self) -> bool:
        """Whether the group enters through one number."""
        return self.score <= self.tolerance

    def __str__(self) -> str:
        verb = "enters" if self.holds else "does not enter"
        return f"{show((self.group,))} {verb} through one number (score {self.score:.1e})"


def lump(f: Target, x: Any, group: Sequence[int], *, tolerance: float = 1e-2) -> Lump:
    r"""Test whether a group of inputs enters through one number, :math:`f = F(g(x_A), x_B)`.

    That is so where the ratios :math:`f_i / f_j` of derivatives in A do not change with
    :math:`x_B` (Leontief 1947; in KAN 2.0, arXiv 2408.10205, sec. 4.3, a symmetry). F and g need
    not be known.

    Args:
        f: A KAN, a module or a function of tensors, (batch, inputs) to (batch, 1) or (batch,).
        x: Points, (batch, inputs), at least two rows, where f is smooth.
        group: The inputs A.
        tolerance: The relative change of a ratio, for one standard deviation of an input, up to
            which it does not change.

    Returns:
        The verdict, with the scores of all pairs of an input in the group and one outside.

    Raises:
        ShapeError: If x is not of shape (batch, inputs), or f gives more than one output.
        DataError: If values are missing, an input does not vary, or f has no derivatives.
        ConfigError: If the group has an input that there is not, or the tolerance is not accepted.

    Example:
        >>> points = torch.rand(200, 3, dtype=torch.float64) + 0.5
        >>> def f(x):
        ...     return x[:, 2] * torch.sin(x[:, 0] * x[:, 1])
        >>> ew.science.lump(f, points, [0, 1]).holds, ew.science.lump(f, points, [0, 2]).holds
        (True, False)
    """
    check_tolerance(tolerance)
    x = points(x)
    (members,) = check_groups([group], x.shape[1])
    turned = turns(differentiable(f)(x).scaled(spread_of(x)))
    rest = tuple(k for k in range(x.shape[1]) if k not in members)
    scores = turned[list(members)][:, list(members)][:, :, list(rest)].amax(1)
    return Lump(members, rest, scores, tolerance)


def parts_of(group: Group, turned: Tensor, tolerance: float) -> tuple[Groups, bool]:
    """The largest groups inside a group that enter through one number, and whether any union does.

    Such groups nest (a modular decomposition): either every union of parts is one, too, and what
    joins them is a sum inside a function, if they are three or more; or no union is.
    """
    nothing = torch.zeros_like(turned[0], dtype=torch.bool)
    parts = unturned(group, nothing, turned, tolerance)
    if len(parts) > 1:
        return parts, True
    joined = nothing.clone()
    for i in group:
        for j in group:
            closed = _closed((i, j), group, turned, tolerance) if i < j else group
            if len(closed) < len(group):
                joined[i, j] = joined[j, i] = True
    parts = components(group, joined)
    return (parts, False) if len(parts) > 1 else (tuple((i,) for i in group), False)


def _closed(seed: Group, within: Group, turned: Tensor, tolerance: float) -> Group:
    """The smallest group with these inputs that enters through one number."""
    members = list(seed)
    for one in members:  # grows as it goes
        for other in members[: members.index(one)]:
            members += [k for k in within if k not in members and turned[one, other, k] > tolerance]
    return tuple(members)
