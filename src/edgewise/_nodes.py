"""Nodes: some pass a sum of edges on, some multiply several such sums."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise._errors import ConfigError

Width: TypeAlias = int | tuple[int, int | Sequence[int]]
"""Sum nodes; or (sum nodes, product nodes of two factors); or (sum nodes, factors of each)."""


class Nodes(nn.Module):
    """The nodes of one layer: some pass a sum of edges on, some multiply several such sums.

    The sums that edges enter are in the order of the nodes: one for each sum node, then the factors
    of the first product node, those of the second, and so on.

    Args:
        sums: The number of sum nodes.
        products: The number of product nodes of two factors, or the number of factors of each
            product node, at least 2.
    """

    def __init__(self, sums: int, products: int | Sequence[int] = 0) -> None:
        super().__init__()
        self.sums = sums
        self.arities = (2,) * products if isinstance(products, int) else tuple(products)
        self._starts = tuple(itertools.accumulate(self.arities, initial=sums))
        self._owners = tuple(n for n, arity in enumerate(self.arities, sums) for _ in range(arity))

    def __len__(self) -> int:
        """The number of nodes, which is what the next layer takes."""
        return self.sums + len(self.arities)

    @property
    def products(self) -> int:
        """The number of product nodes."""
        return len(self.arities)

    @property
    def width(self) -> Width:
        """The width as one writes it: sums, (sums, products), or (sums, [factors of each])."""
        if not self.arities:
            return self.sums
        binary = all(arity == 2 for arity in self.arities)
        return (self.sums, self.products) if binary else (self.sums, list(self.arities))

    @property
    def in_features(self) -> int:
        """The number of sums that edges enter: one for a sum node, each factor of a product."""
        return self.sums + sum(self.arities)

    def sums_of(self, node: int) -> range:
        """List the sums that make a node: one, or the factors of a product."""
        if node < self.sums:
            return range(node, node + 1)
        return range(*self._starts[node - self.sums : node - self.sums + 2])

    def of_sum(self, target: int) -> int:
        """Tell to which node a sum belongs."""
        return target if target < self.sums else self._owners[target - self.sums]

    def factors(
        self, s: Float[Tensor, "*rows sums"], one: Float[Tensor, "*rows 1"]
    ) -> list[Float[Tensor, "*rows products"]]:
        """List the first factor of every product node, the second, ...; `one` where it has none."""
        most = max(self.arities, default=0)
        if min(self.arities, default=0) == most:
            return [s[..., self.sums + k :: most] for k in range(most)]
        padded, none = torch.cat([s, one], -1), s.shape[-1]
        rows = [self.sums_of(node) for node in range(self.sums, len(self))]
        return [padded[..., [r[k] if k < len(r) else none for r in rows]] for k in range(most)]

    def spread(
        self, sums: Float[Tensor, "*rows sums"], factors: list[Float[Tensor, "*rows products"]]
    ) -> Float[Tensor, "*rows all"]:
        """Put what belongs to the factors, listed as `factors` does, behind that of the sums."""
        rows = torch.stack(factors, -1).flatten(-2)
        most = len(factors)
        if min(self.arities) < most:
            rows = rows[..., [p * most + k for p, n in enumerate(self.arities) for k in range(n)]]
        return torch.cat([sums, rows], -1)

    def forward(self, s: Float[Tensor, "batch sums"]) -> Float[Tensor, "batch nodes"]:
        """Multiply the factors of the product nodes; they come after the sum nodes."""
        if not self.arities:
            return s
        first, *others = self.factors(s, torch.ones_like(s[:, :1]))
        for factor in others:
            first = first * factor
        return torch.cat([s[:, : self.sums], first], -1)

    def push(
        self, t: Float[Tensor, "batch sums"], s: Float[Tensor, "batch sums"]
    ) -> Float[Tensor, "batch nodes"]:
        """Carry a change t in the sums s forward to the change in the nodes."""
        if not self.arities:
            return t
        others = products_of_others(self.factors(s, torch.ones_like(s[:, :1])))
        changes = self.factors(t, torch.zeros_like(t[:, :1]))
        product = changes[0] * others[0]
        for change, other in zip(changes[1:], others[1:], strict=True):
            product = product + change * other
        return torch.cat([t[:, : self.sums], product], -1)

    def backward(
        self, d: Float[Tensor, "batch rows nodes"], s: Float[Tensor, "batch sums"]
    ) -> Float[Tensor, "batch rows sums"]:
        """Carry derivatives in the nodes back to derivatives in the sums s."""
        if not self.arities:
            return d
        s = s.unsqueeze(1)
        others = products_of_others(self.factors(s, torch.ones_like(s[..., :1])))
        by_node = d[..., self.sums :]
        return self.spread(d[..., : self.sums], [by_node * other for other in others])

    def extra_repr(self) -> str:
        """Show the width."""
        return str(self.width)


def products_of_others(factors: list[Tensor]) -> list[Tensor]:
    """For each factor the product of all others, without a division: a factor may be zero."""
    if len(factors) == 2:
        return factors[::-1]
    before: list[Tensor] = [torch.ones_like(factors[0])]
    after = [before[0]]
    for factor, last in zip(factors[:-1], factors[:0:-1], strict=True):
        before.append(before[-1] * factor)
        after.append(after[-1] * last)
    return [left * right for left, right in zip(before, after[::-1], strict=True)]


def nodes_of(widths: Sequence[Width]) -> list[Nodes]:
    """Read widths, or say what is wrong with them."""
    nodes = []
    for width in widths:
        pair = tuple(width) if isinstance(width, Sequence) else (width, 0)
        read = _read(*pair) if len(pair) == 2 else None
        if read is None or len(read) < 1:
            raise ConfigError(
                "A width is a positive number of nodes, or a pair (sum nodes, product nodes), "
                "of which the second may list the factors of each product node, at least 2. "
                f"Got {width!r} in {list(widths)!r}."
            )
        nodes.append(read)
    if len(nodes) < 2:
        raise ConfigError(f"A network needs at least inputs and outputs, got {list(widths)!r}.")
    if nodes[0].products:
        raise ConfigError(f"The inputs cannot be product nodes, got {list(widths)!r}.")
    return nodes


def _read(sums: Any, products: Any) -> Nodes | None:
    """Read one width, if it is one."""
    factors = products if isinstance(products, Sequence) else []
    counts = [sums] if isinstance(products, Sequence) else [sums, products]
    whole = all(isinstance(n, Integral) for n in (*counts, *factors))
    if not whole or min(counts) < 0 or min(factors, default=2) < 2:
        return None
    return Nodes(int(sums), [int(n) for n in factors] or int(counts[-1] if counts[1:] else 0))
