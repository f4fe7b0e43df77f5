"""Match one edge with the primitives: `c * f(a * x + b) + d` for each of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError, DataError
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, check_sample, trace
from edgewise._primitives import PRIMITIVES, Library, Primitive, find
from edgewise._types import Edge

_POINTS = 300
_REFINED = 4
_PATIENCE = 5


@dataclass(frozen=True)
class Match:
    """A primitive that was fitted to an edge.

    Attributes:
        primitive: The function f.
        constants: a, b, c, d of `c * f(a * x + b) + d`.
        r2: The share of the edge's variance that it explains, at most 1.
    """

    primitive: Primitive
    constants: tuple[float, float, float, float]
    r2: float

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.primitive.name

    @property
    def complexity(self) -> int:
        """The primitive's complexity."""
        return self.primitive.complexity

    def lock(self, like: Tensor) -> Lock:
        """Make a lock of it, in the precision and on the device of a tensor."""
        return Lock(self.primitive, like.new_tensor(self.constants))


@dataclass(frozen=True)
class Suggestions:
    """A ranked table of matches; iterate over it, index it, or print it.

    Attributes:
        edge: The edge that was matched.
        matches: The matches, the best first.
    """

    edge: Edge
    matches: tuple[Match, ...]

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)

    def __len__(self) -> int:
        return len(self.matches)

    def __getitem__(self, index: int) -> Match:
        return self.matches[index]

    def __str__(self) -> str:
        lines = [f"{self.edge}: c * f(a * x + b) + d"]
        lines.append(
            f"{'f':>10} {'1 - R^2':>9} {'complexity':>11} {'a':>10} {'b':>10} {'c':>10} {'d':>10}"
        )
        for match in self.matches:
            numbers = " ".join(f"{value:10.4g}" for value in match.constants)
            lines.append(f"{match.name:>10} {1 - match.r2:9.2g} {match.complexity:11d} {numbers}")
        return "\n".join(lines)


def suggest(
    model: KAN,
    edge: Edge | tuple[int, int, int],
    x: Any,
    *,
    library: Library = PRIMITIVES,
    top: int = 8,
) -> Suggestions:
    """Rank the primitives by how well each explains an edge.

    Each primitive is fitted as `c * f(a * x + b) + d` to the edge's curve over the data: from a
    scan of starts, then by Levenberg–Marquardt in all four constants. The rank weighs the
    unexplained variance (down to the rounding of a spline) against the complexity.

    Args:
        model: The network.
        edge: (layer, source node, target sum).
        x: Inputs that represent the data, (batch, inputs): a tensor or a NumPy array.
        library: The primitives to try.
        top: How many to return.

    Returns:
        The matches, the best first.

    Raises:
        ConfigError: If there is no such edge, or it is switched off.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows or values that are not finite, or the edge is
            constant over it.

    Example:
        >>> table = ew.suggest(model, (0, 0, 0), x, top=3)
        >>> len(table), table[0].r2 > 0.99
        (3, True)
    """
    edge = Edge(*edge)
    if edge not in model.edges():
        raise ConfigError(f"There is no {edge} in {model!r}, or it is switched off.")
    x = check_sample(model, x, "Matching")
    u, v = edge_curve(model, edge, x)
    if float(v.std()) <= 1e-14 * float(v.abs().max()):
        raise DataError(f"The {edge} is constant over these data: there is nothing to match.")
    matches = rank(match_all(u, v, library))
    return Suggestions(edge, tuple(matches[:top]))


def edge_curve(model: KAN, edge: Edge, x: Tensor) -> tuple[Tensor, Tensor]:
    """Points over the range of what comes through an edge, as the data lie, and its values."""
    record = trace(model, x)
    u = record.inputs[edge.layer][:, edge.source]
    v = record.edges[edge.layer][:, edge.target, edge.source]
    order = u.argsort()
    some = (
        torch.linspace(0, len(order) - 1, min(_POINTS, len(order)), device=u.device).round().long()
    )
    return u[order[some]], v[order[some]]


def rank(matches: list[Match], floor: float = 1e-14) -> list[Match]:
    """Order matches by unexplained variance and complexity; below `floor` all fit equally well."""

    def cost(match: Match) -> float:
        return math.log(max(1 - match.r2, floor)) + 0.7 * match.complexity

    return sorted(matches, key=cost)


def match_all(x: Tensor, y: Tensor, library: Library) -> list[Match]:
    """Fit every primitive that can be fitted to the points (x, y)."""
    middle, half = (x.max() + x.min()) / 2, (x.max() - x.min()) / 2
    half = half if half > 0 else torch.ones_like(half)  # one point
    t = (x - middle) / half  # (points,), from -1 to 1
    matches = []
    for primitive in library:
        found = _fit(primitive, t, y)
        if found is None:
            continue
        reach, offset, c, d, r2 = found
        a = reach / float(half)
        constants = (a, offset - a * float(middle), c, d)
        if all(math.isfinite(value) for value in constants):
            matches.append(Match(primitive, constants, r2))
    return matches


def _fit(primitive: Primitive, t: Tensor, y: Tensor) -> tuple[float, ...] | None:
    """Fit c f(reach t + offset) + d; None where no start gives finite values."""
    starts = _starts(primitive, t)  # (starts, 2)
    values = primitive.torch(starts[:, :1] * t + starts[:, 1:])  # (starts, points)
    finite = torch.isfinite(values).all(1)
    starts, values = starts[finite], values[finite]
    if len(starts) == 0:
        return None
    f, g = values - values.mean(1, keepdim=True), y - y.mean()
    power = f.square().sum(1)
    slope = torch.where(power > 0, (f @ g) / power.clamp_min(1e-300), torch.zeros_like(power))
    unexplained = (g - slope.unsqueeze(1) * f).square().sum(1)
    best = unexplained.argsort()[:_REFINED]
    c = slope[best]
    d = y.mean() - c * values[best].mean(1)
    theta = torch.cat([starts[best], c.unsqueeze(1), d.unsqueeze(1)], 1)  # (starts, 4)
    theta, loss = _polish(primitive, theta, t, y)
    winner = int(loss.argmin())
    r2 = 1 - float(loss[winner]) / max(float(g.square().sum()), 1e-300)
    return (*theta[winner].tolist(), r2)


def _starts(primitive: Primitive, t: Tensor) -> Tensor:
    low, high = primitive.reach
    count = 1 if low == high else max(6, round(12 * math.log(high / low)))
    reach = torch.logspace(math.log10(low), math.log10(high), count, dtype=t.dtype, device=t.device)
    if primitive.gauge not in ("odd", "even", "sine", "cosine", "linear"):
        reach = torch.cat([reach, -reach])
    offset = t.new_tensor(primitive.offsets)
    starts = torch.cartesian_prod(reach, offset).reshape(-1, 2)
    if primitive.gauge == "none":  # nothing is known of it: it may begin or end at zero
        starts = torch.cat(
            [starts, torch.stack([reach, reach], 1), torch.stack([reach, -reach], 1)]
        )
    return starts


def _polish(
    primitive: Primitive, theta: Tensor, t: Tensor, y: Tensor, steps: int = 40
) -> tuple[Tensor, Tensor]:
    """Levenberg–Marquardt in reach, offset, c, d from several starts side by side."""
    damping = torch.full_like(theta[:, 0], 1e-3)

    def residual(theta: Tensor) -> Tensor:
        reach, offset, c, d = theta.unsqueeze(-1).unbind(1)  # (starts, 1) each
        return c * primitive.torch(reach * t + offset) + d - y

    r = residual(theta)
    loss = r.square().sum(1)
    goal = 1e-30 * float((y - y.mean()).square().sum())
    idle = 0
    for _ in range(steps):
        reach, offset, c, _ = theta.unsqueeze(-1).unbind(1)
        value, slope = primitive.slope(reach * t + offset)
        J = torch.stack([c * slope * t, c * slope, value, torch.ones_like(value)], -1)
        H = J.mT @ J  # (starts, 4, 4)
        scale = H.diagonal(dim1=1, dim2=2)
        scale = scale.clamp_min(1e-300) + 1e-12 * scale.amax(1, keepdim=True)
        lifted = H + torch.diag_embed(damping.unsqueeze(1) * scale)
        finite = torch.isfinite(lifted).all((1, 2), keepdim=True)
        eye = torch.eye(4, dtype=t.dtype, device=t.device)
        g = torch.where(finite, J.mT @ r.unsqueeze(-1), torch.zeros_like(lifted[..., :1]))
        step, failed = torch.linalg.solve_ex(torch.where(finite, lifted, eye), -g)
        there = theta + step.squeeze(-1)
        r_there = residual(there)
        loss_there = r_there.square().sum(1)
        better = (loss_there < loss) & (failed == 0)  # NaN is not better
        falls = better & (loss_there < 0.99 * loss)
        idle = 0 if bool(falls.any()) else idle + 1
        theta = torch.where(better.unsqueeze(1), there, theta)
        r = torch.where(better.unsqueeze(1), r_there, r)
        loss = torch.where(better, loss_there, loss)
        damping = torch.where(better, 0.2 * damping, 8 * damping).clamp(1e-15, 1e15)
        if idle == _PATIENCE or bool((loss <= goal).any()):
            break
    return theta, loss


def lock(
    model: KAN,
    edge: Edge | tuple[int, int, int],
    primitive: Primitive | str,
    x: Any,
    *,
    library: Library = PRIMITIVES,
) -> KAN:
    """Let an edge be a primitive from now on: `c * f(a * x + b) + d`, fitted to the edge's curve.

    The constants stay trainable: `fit` goes on with the lock in place.

    Args:
        model: The network; it is not changed.
        edge: (layer, source node, target sum).
        primitive: A name in the library, the name of a power (see `power`), or a primitive of your
            own.
        x: Inputs that represent the data, (batch, inputs): a tensor or a NumPy array.
        library: Where names are looked up.

    Returns:
        A copy with the edge locked.

    Raises:
        ConfigError: If there is no such edge or primitive, or the primitive has no finite values
            over the edge's range.

    Example:
        >>> locked = ew.lock(model, (0, 0, 0), "sin", x)
        >>> locked.layers[0].locks
        ModuleDict(
          (0_0): Lock('sin')
        )
    """
    edge = Edge(*edge)
    if isinstance(primitive, str):
        primitive = find(primitive, library) or library[primitive]
    found = suggest(model, edge, x, library=Library([primitive])).matches
    if not found:
        raise ConfigError(
            f"{primitive.name} has no finite values over the range of the {edge}: choose another."
        )
    return with_lock(model, edge, found[0])


def with_lock(model: KAN, edge: Edge, match: Match) -> KAN:
    """Copy a network with one edge locked to a match."""
    import copy

    model = copy.deepcopy(model)
    layer = model.parts()[edge.layer][0]
    assert isinstance(layer, KANLayer)
    layer.lock(edge.target, edge.source, match.lock(layer.coef))
    return model
