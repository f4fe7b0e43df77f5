r"""The Gauss–Newton sums of a KAN, without autograd.

For a layer with inputs x and the derivative d of the output in its sums, a coefficient's column of
the Jacobian is :math:`\partial f / \partial c_{oib} = d_o B_b(x_i)`: an outer product. The sums
:math:`J^T J` and :math:`J^T r` are added up chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._fit._chunk import Chunk
from edgewise._fit._losses import Loss
from edgewise._fit._team import Team
from edgewise._kernels import Columns, gram, kernels, mirror, pull
from edgewise._layer import KANLayer
from edgewise._network import KAN

_CHUNK_ENTRIES = 8_000_000
"""How many numbers are held for a chunk of samples: 64 MB in float64."""


class ParameterVector:
    """The trainable numbers of a KAN as one vector: coefficients of numeric edges, free constants.

    Args:
        model: The network that `read` and `write` look at.
    """

    def __init__(self, model: KAN) -> None:
        self.model = model
        self.size = len(self.read())

    def read(self) -> Float[Tensor, " parameters"]:
        """Copy the parameters out of the model."""
        return self.gather([tensor.detach() for tensor, _ in self.places()])

    @torch.no_grad()
    def write(self, vector: Float[Tensor, " parameters"]) -> None:
        """Set the model's parameters."""
        start = 0
        for tensor, trained in self.places():
            count = tensor[trained].numel()
            tensor[trained] = vector[start : start + count].view_as(tensor[trained])
            start += count

    def places(self) -> list[tuple[Tensor, Tensor]]:
        """List the model's tensors that hold parameters, each with what of it is trained."""
        places = []
        for layer, _ in self.model.parts():
            places.append((layer.coef, layer.mask))
            places += [(lock.constants, lock.free) for _, lock in layer.locked()]
        return places

    def gather(self, tensors: Sequence[Tensor]) -> Float[Tensor, " parameters"]:
        """Make one vector of tensors like the model's, their derivatives for instance."""
        pairs = zip(tensors, self.places(), strict=True)
        return torch.cat([tensor[trained].flatten() for tensor, (_, trained) in pairs])

    def split(self, vector: Float[Tensor, " parameters"]) -> Iterator[Tensor]:
        """Make tensors like the model's of one vector; what is not trained is zero."""
        start = 0
        for tensor, trained in self.places():
            piece = torch.zeros_like(tensor)
            count = tensor[trained].numel()
            piece[trained] = vector[start : start + count].view_as(tensor[trained])
            start += count
            yield piece

    def penalty(
        self, weights: Float[Tensor, " parameters"], smoothness: float, shrinkage: float
    ) -> Penalty:
        """Give the roughness and the variation of all numeric edges as one quadratic form.

        Args:
            weights: What the data weigh on each parameter; an edge counts with the mean of its own.
            smoothness: The share of that weight that roughness has.
            shrinkage: The share of it that variation has.
        """
        blocks, start = [], 0
        for layer, _ in self.model.parts():
            edges, size = int(layer.mask.sum()), layer.basis.size
            own = weights[start : start + edges * size].reshape(edges, size).mean(1)
            at = start + torch.arange(edges * size, device=own.device).reshape(edges, size)
            inputs = layer.mask.nonzero()[:, 1]
            blocks += _blocks(at, (smoothness * own).sqrt(), inputs, layer.basis.roughness())
            blocks += _blocks(at, (shrinkage * own).sqrt(), inputs, layer.basis.variation())
            start += edges * size + sum(int(lock.free.sum()) for _, lock in layer.locked())
        return Penalty(blocks)

    def hold(self, weights: Float[Tensor, " parameters"], share: float) -> Penalty:
        """Give the change of the coefficients of numeric edges as a quadratic form.

        Args:
            weights: What the data weigh on each parameter; an edge counts with the mean of those
                that they touch.
            share: The share of that weight that a change has.
        """
        blocks, start = [], 0
        for layer, _ in self.model.parts():
            edges, size = int(layer.mask.sum()), layer.basis.size
            own = weights[start : start + edges * size].reshape(edges, size)
            at = start + torch.arange(edges * size, device=own.device).reshape(edges, size)
            touched = (own > 0).sum(1).clamp_min(1)
            each = torch.eye(size, dtype=own.dtype, device=own.device)
            blocks.append(Block(at, (share * own.sum(1) / touched).sqrt(), each))
            start += edges * size + sum(int(lock.free.sum()) for _, lock in layer.locked())
        return Penalty(blocks)

    def lift(self, weights: Float[Tensor, " parameters"]) -> Float[Tensor, " parameters"]:
        """Raise the weights of parameters that the data hardly touch, by each layer's own measure.

        With y in units of 1e12 the first layers weigh 1e24 times as much as the last.
        """
        pieces, start = [], 0
        for layer, _ in self.model.parts():
            count = int(layer.mask.sum()) * layer.basis.size
            count += sum(int(lock.free.sum()) for _, lock in layer.locked())
            piece = weights[start : start + count]
            largest = float(piece.max()) if count else 0.0
            pieces.append(piece.clamp_min(1e-10 * largest if largest > 0 else 1.0))
            start += count
        return torch.cat(pieces)


class Block(NamedTuple):
    """Edges that share the combinations of coefficients whose squares are summed."""

    at: Tensor  # (edges, basis): where the coefficients stand among the parameters
    weights: Tensor  # (edges,)
    combinations: Tensor  # (combinations, basis)


def _blocks(at: Tensor, weights: Tensor, inputs: Tensor, combinations: Tensor) -> list[Block]:
    """One block for all edges where combinations are the same for every input, else one each."""
    if combinations.stride(0) == 0:
        return [Block(at, weights, combinations[0])]
    return [Block(at[inputs == i], weights[inputs == i], combinations[i]) for i in inputs.unique()]


class Penalty:
    """A sum of squares of combinations of an edge's coefficients: half of it is added to a loss.

    Values and gradients come from the combinations themselves: the quadratic form, multiplied out,
    would be wrong in the tenth digit, which is more than the loss of a fit to machine precision.

    Args:
        blocks: Edges, their weights and their combinations.
    """

    def __init__(self, blocks: list[Block]) -> None:
        self.blocks = blocks

    def value(self, vector: Float[Tensor, " parameters"]) -> float:
        """Half the sum of squares."""
        return 0.5 * sum(float(self._rows(vector, block).square().sum()) for block in self.blocks)

    def gradient(self, vector: Float[Tensor, " parameters"]) -> Float[Tensor, " parameters"]:
        """The derivative of the value."""
        gradient = torch.zeros_like(vector)
        for block in self.blocks:
            rows = self._rows(vector, block)
            gradient[block.at] += (block.weights.unsqueeze(-1) * rows) @ block.combinations
        return gradient

    def forms(self) -> Iterator[tuple[int, Tensor]]:
        """Go through the edges: where each begins, and its matrix of second derivatives."""
        for at, weights, combinations in self.blocks:
            form = combinations.T @ combinations
            for start, weight in zip(at[:, 0].tolist(), weights.square().tolist(), strict=True):
                yield start, weight * form

    def add_to(self, H: Float[Tensor, "parameters parameters"]) -> None:
        """Add the matrix of second derivatives to H, in place."""
        for start, form in self.forms():
            part = slice(start, start + len(form))
            H[part, part] += form

    def _rows(self, vector: Tensor, block: Block) -> Tensor:
        return block.weights.unsqueeze(-1) * (vector[block.at] @ block.combinations.T)


class NormalEquations(NamedTuple):
    """A loss near the present parameters: value + g·step + step·H·step / 2, means over samples."""

    value: float
    g: Tensor
    H: Tensor


@torch.no_grad()
def normal_equations(
    model: KAN,
    x: Float[Tensor, "batch inputs"],
    y: Tensor,
    loss: Loss,
    weights: Float[Tensor, " batch"] | None = None,
) -> NormalEquations:
    """Give a model's loss, its gradient and its Gauss–Newton matrix, means over samples."""
    return mean_equations(model, [Chunk(x, y, weights)], loss, Team())


@torch.no_grad()
def mean_equations(
    model: KAN,
    chunks: Iterable[Chunk],
    loss: Loss,
    team: Team,
) -> NormalEquations:
    """Sum loss, gradient and Gauss–Newton matrix over the chunks of all processes."""
    size, device = ParameterVector(model).size, model.device
    H = torch.zeros(size, size, dtype=torch.float64, device=device)
    g = torch.zeros(size, dtype=torch.float64, device=device)
    value, total = 0.0, 0.0
    rows = chunk_rows(model)
    for whole in chunks:
        for chunk in whole.split(rows):
            columns, pulls, prediction = linearize(model, chunk, loss)
            gram(columns, H)
            g += pulls
            value += float(chunk.sum(loss.objective(prediction, chunk.y)))
            total += chunk.total
    H, g = team.sum(mirror(H)), team.sum(g)
    total = team.total(total)
    return NormalEquations(team.total(value) / total, g / total, H / total)


def linearize(model: KAN, chunk: Chunk, loss: Loss) -> tuple[list[Columns], Tensor, Tensor]:
    """Give the columns of the loss's root, its gradient (parameters,) and the output."""
    x, y, weights = chunk
    steps = []
    for layer, nodes in model.parts():
        step = _forward(layer, x)
        steps.append(step)
        x = nodes(step.sums)
    root, gradient = loss.root(x, y), loss.gradient(x, y)
    if weights is not None:
        root = root * weights.sqrt().reshape(-1, 1, 1)
        gradient = gradient * weights.unsqueeze(-1)
    signal = torch.cat([root, gradient.unsqueeze(1)], 1)
    columns, pulls = [], []
    for (layer, nodes), step in reversed(list(zip(model.parts(), steps, strict=True))):
        d = nodes.backward(signal, step.sums)  # (batch, rows, sums): the last row is the gradient's
        pieces = _columns(layer, step, d)
        columns[:0] = [piece._replace(signal=piece.signal[:, :-1]) for piece in pieces]
        pulls[:0] = [pull(piece._replace(signal=piece.signal[:, -1:])) for piece in pieces]
        signal = torch.einsum("bro,boi->bri", d, step.slopes)
    return columns, torch.cat(pulls), x


class _Step(NamedTuple):
    """What the way forward through a layer leaves for the way back."""

    start: Tensor  # (batch, inputs)
    values: Tensor  # (batch, inputs, support)
    sums: Tensor  # (batch, sums)
    slopes: Tensor  # (batch, sums, inputs): the derivative of each edge
    by_constant: list[Tensor]  # for each lock (batch, free)


def _forward(layer: KANLayer, x: Tensor) -> _Step:
    coef = layer.coef.detach() * layer.mask.unsqueeze(-1)
    edges, slopes = layer.basis.edges(x, coef, 1)
    sums = edges.sum(-1)
    by_constant = []
    for (o, i), lock in layer.locked():
        value, slopes[:, o, i], columns = lock.columns(x[:, i])
        sums[:, o] += value
        by_constant.append(columns[:, lock.free])
    return _Step(*layer.basis.local(x), sums, slopes, by_constant)


def _columns(layer: KANLayer, step: _Step, d: Tensor) -> list[Columns]:
    """The layer's columns: those of its splines, then those of each lock's constants."""
    pieces = [Columns(step.start, step.values, d, layer.mask.nonzero(), layer.basis.size)]
    for ((o, _), _), columns in zip(layer.locked(), step.by_constant, strict=True):
        start = step.start.new_zeros((len(columns), 1))
        edge = step.start.new_zeros((1, 2))
        pieces.append(
            Columns(start, columns.unsqueeze(1), d[:, :, o : o + 1], edge, columns.shape[-1])
        )
    return pieces


def chunk_rows(model: KAN) -> int:
    """Give the number of rows that are worked on at a time."""
    return max(1, _CHUNK_ENTRIES // _entries(model))


def _entries(model: KAN) -> int:
    """How many numbers are held for a sample, or, without the core, the size of its Jacobian."""
    if kernels().name == "torch" or model.device.type != "cpu":
        return ParameterVector(model).size * model.out_features + 1
    return sum(
        layer.coef.shape[0] * layer.in_features + 50 * layer.in_features
        for layer, _ in model.parts()
    )
