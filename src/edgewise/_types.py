"""Names for types that recur."""

from __future__ import annotations

from typing import NamedTuple


class Edge(NamedTuple):
    """Where an edge is: it leaves node `source` of layer `layer` and enters sum `target`.

    `target` counts the sums that edges enter: first one for each sum node of the next layer, then
    the factors of each product node.
    """

    layer: int
    source: int
    target: int

    def __str__(self) -> str:
        return f"edge {self.layer}:{self.source}->{self.target}"
