"""The Kolmogorov–Arnold network: layers of edges between sum and product nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise._arrays import check_tensor, like_tensor, tensor_of
from edgewise._errors import DataError, ShapeError
from edgewise._layer import KANLayer
from edgewise._nodes import Nodes as Nodes
from edgewise._nodes import Width as Width
from edgewise._nodes import nodes_of as nodes_of
from edgewise._types import Edge
from edgewise.bases import BSpline


class KAN(nn.Module):
    r"""A Kolmogorov–Arnold network (arXiv 2404.19756, eq. 2.7), with product nodes (2408.10205).

    An ordinary module: it has no method that trains, draws, prunes or saves; see `fit`, `plot`,
    `prune` and `save`. It computes in float64 unless told otherwise, since a fit to 1e-6 and beyond
    needs it.

    Args:
        widths: The number of nodes of each layer from the inputs to the outputs. A pair is (sum
            nodes, product nodes): `[4, (3, 2), 1]` has 3 sums and 2 products in the middle. A list
            in its place has the number of factors of each product node: `[4, (3, [2, 4]), 1]`.
        grid: The number of spline intervals.
        degree: The degree of the splines, 1 to 9 (pykan's `k`).
        domain: Where the grids lie to begin with: a pair for all inputs, or a tensor (inputs, 2)
            for the inputs. `fit` and `adapt` move them to the data.
        dtype: `torch.float64` or `torch.float32`.
        device: Where the parameters live.

    Raises:
        ConfigError: If a width, the grid, the degree or the domain makes no network.

    Example:
        >>> model = ew.KAN([2, 5, 1])
        >>> model(torch.zeros(100, 2, dtype=torch.float64)).shape
        torch.Size([100, 1])
        >>> ew.KAN([4, (3, 2), 1])
        KAN([4, (3, 2), 1], grid=3, 198 parameters)
    """

    def __init__(
        self,
        widths: Sequence[Width],
        *,
        grid: int = 3,
        degree: int = 3,
        domain: tuple[float, float] | Float[Tensor, "inputs 2"] = (-1.0, 1.0),
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        nodes = nodes_of(widths)
        layers = []
        for depth, (source, target) in enumerate(zip(nodes[:-1], nodes[1:], strict=True)):
            basis = BSpline(
                len(source),
                grid=grid,
                degree=degree,
                domain=domain if depth == 0 else (-1.0, 1.0),
                dtype=dtype,
                device=device,
            )
            layers.append(KANLayer(basis, target.in_features))
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.nodes = nn.ModuleList(nodes[1:])
        self.reset_parameters()

    @classmethod
    def of(cls, layers: Sequence[KANLayer], nodes: Sequence[Nodes]) -> KAN:
        """Put a network together from layers and the nodes that follow each of them."""
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model.layers = nn.ModuleList(layers)
        model.nodes = nn.ModuleList(nodes)
        return model

    @property
    def widths(self) -> list[Width]:
        """The number of nodes of each layer, as the constructor takes it."""
        return [self.in_features, *(nodes.width for _, nodes in self.parts())]

    @property
    def in_features(self) -> int:
        """The number of inputs."""
        return self.parts()[0][0].in_features

    @property
    def out_features(self) -> int:
        """The number of outputs."""
        return len(self.parts()[-1][1])

    @property
    def grid(self) -> int:
        """The number of spline intervals (the largest, where layers differ)."""
        return max(layer.basis.grid for layer, _ in self.parts())

    @property
    def degree(self) -> int:
        """The degree of the splines (the largest, where layers differ)."""
        return max(layer.basis.degree for layer, _ in self.parts())

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the parameters."""
        return self.parts()[0][0].coef.dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.parts()[0][0].coef.device

    def parts(self) -> list[tuple[KANLayer, Nodes]]:
        """List the layers, each with the nodes that it feeds."""
        return list(zip(self.layers, self.nodes, strict=True))  # type: ignore[arg-type]

    def edges(self) -> list[Edge]:
        """List the edges that are not off, numeric and locked."""
        return [
            Edge(depth, int(i), int(o))
            for depth, (layer, _) in enumerate(self.parts())
            for o, i in layer.active.nonzero().tolist()
        ]

    def reset_parameters(
        self, curvature: float = 0.1, *, generator: torch.Generator | None = None
    ) -> None:
        """Draw new numeric edges; the variance of the activations stays the same at any depth.

        Args:
            curvature: The share of the variance that is random bending, 0 to 1.
            generator: Where the random numbers come from; torch's global one by default.
        """
        for layer, nodes in self.parts():
            layer.reset_parameters(curvature, generator=generator)
            with torch.no_grad():  # a product of n factors of variance v has variance v^n
                for node, arity in enumerate(nodes.arities, nodes.sums):
                    rows = nodes.sums_of(node)
                    layer.coef[rows.start : rows.stop] *= 3 ** ((1 - 1 / arity) / 2)

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """Evaluate the network.

        Raises:
            ShapeError: If x is not of shape (batch, inputs).
            DataError: If x is no tensor, or has another dtype than the parameters.
        """
        check_tensor(x, "This network", self.layers[0].coef)  # type: ignore[arg-type]
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ShapeError(
                f"This network takes inputs of shape (batch, {self.in_features}), "
                f"got {tuple(x.shape)}."
            )
        for layer, nodes in zip(self.layers, self.nodes, strict=True):
            x = nodes(layer(x))
        return x

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        return f"KAN({self.widths}, grid={self.grid}, {count} parameters)"


@dataclass(frozen=True)
class Trace:
    """What passed through a network: for each layer, from the inputs to the outputs.

    Attributes:
        inputs: What each layer took, (batch, inputs).
        edges: What each edge gave, (batch, sums, inputs).
        sums: What entered the nodes, (batch, sums).
        output: What the network gave, (batch, outputs).
    """

    inputs: list[Tensor]
    edges: list[Tensor]
    sums: list[Tensor]
    output: Tensor


@torch.no_grad()
def trace(model: KAN, x: Any) -> Trace:
    """Evaluate a network and keep every activation on the way.

    Args:
        model: The network; it is not changed.
        x: Inputs, (batch, inputs): a tensor or a NumPy array.

    Returns:
        The activations; nothing is stored on the model.

    Raises:
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x does not hold numbers, or is a tensor of another dtype than the parameters.

    Example:
        >>> record = ew.trace(ew.KAN([2, 5, 1]), torch.zeros(10, 2, dtype=torch.float64))
        >>> [edges.shape for edges in record.edges]
        [torch.Size([10, 5, 2]), torch.Size([10, 1, 5])]
    """
    x = like_tensor("x", x, model.parts()[0][0].coef)
    inputs, edges, sums = [], [], []
    for layer, nodes in model.parts():
        inputs.append(x)
        edges.append(layer.edges(x))
        sums.append(edges[-1].sum(-1))
        x = nodes(sums[-1])
    return Trace(inputs, edges, sums, x)


def check_sample(model: KAN, x: Any, purpose: str) -> Tensor:
    """Take inputs that are to represent the data: some rows of the right shape, and no NaN.

    Returns:
        The inputs in the network's precision.
    """
    return read_sample(x, model.in_features, model.parts()[0][0].coef, purpose)


def read_sample(x: Any, inputs: int, like: Tensor, purpose: str) -> Float[Tensor, "batch inputs"]:
    """Take so many inputs, as `check_sample` does, in the precision of `like`."""
    if not isinstance(x, Tensor):
        x = tensor_of("x", x).to(like.device)
    if x.ndim != 2 or x.shape[1] != inputs:
        raise ShapeError(
            f"This network takes inputs of shape (batch, {inputs}), got {tuple(x.shape)}."
        )
    if len(x) < 2:
        raise DataError(f"{purpose} needs at least 2 rows of inputs, got {len(x)}.")
    x = tensor_of("x", x).detach().to(like.dtype)
    check_finite("x", x)
    return x


def check_finite(name: str, values: Float[Tensor, "batch columns"]) -> None:
    """Check that no value is missing or infinite."""
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        row, column = bad.nonzero()[0].tolist()
        raise DataError(
            f"{name} has {int(bad.sum())} missing or infinite values; the first is in row {row}, "
            f"column {column}. Remove or fill these rows."
        )
