"""The tree of a function: which operations join which groups of inputs, down to single inputs.

Groups that enter through one number nest (see `lump`), which gives the shape of the tree for the
whole function at once. What joins the parts of a group is then asked of the function of the group
alone, with the other inputs at rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from edgewise._errors import DataError, ShapeError
from edgewise.science._derivatives import (
    Derivatives,
    Function,
    Slice,
    Target,
    differentiable,
    points,
    spread_of,
)
from edgewise.science._groups import Group, Groups
from edgewise.science._inside import turns
from edgewise.science._lump import parts_of
from edgewise.science._powers import sum_of_powers
from edgewise.science._separate import (
    Operation,
    Separation,
    check_tolerance,
    idle_inputs,
    separated,
)

Word: TypeAlias = Literal["input", "add", "multiply", "inside", "function", "constant"]

_OPERATIONS: tuple[tuple[Operation, float | None], ...]
_OPERATIONS = ("add", 0.0), ("multiply", 0.0), ("multiply", None)


@dataclass(frozen=True)
class Structure:
    """A node of the tree of a function, with all that is below it.

    Attributes:
        operation: What joins the parts: "add" or "multiply" for a sum or product of functions of
            them, "inside" for a function of such a sum, "function" for any other function of one
            number for each part; "input" for a single input, "constant" if no input matters.
        inputs: The inputs below, in the order of the parts.
        parts: The nodes below.
        names: What all inputs of the function are called.
        score: How far the operation is from exact; 0 for "function" and "input".
        shift: For "multiply" at the top, what is added to the function before it is a product;
            further down constants belong to no part in particular.
        formula: For "inside" over single inputs, the sum or product of powers that stands inside,
            as a SymPy expression, where it is one; None elsewhere.
        idle: For the whole function, the inputs that it does not depend on.
    """

    operation: Word
    inputs: Group
    parts: tuple[Structure, ...] = field(default=(), repr=False)
    names: tuple[str, ...] = field(default=(), repr=False)
    score: float = 0.0
    shift: float = 0.0
    formula: Any = None
    idle: Group = ()

    @property
    def depth(self) -> int:
        """The number of operations on the way to the furthest input."""
        return 1 + max(part.depth for part in self.parts) if self.parts else 0

    @property
    def levels(self) -> tuple[tuple[Structure, ...], ...]:
        """The nodes level by level, from the single inputs to the whole, each a partition.

        A level has the largest nodes of at most its depth, so a node that is done early stands in
        several levels (the molecules of KAN 2.0).
        """
        return tuple(tuple(self._at(depth)) for depth in range(self.depth + 1))

    def _at(self, depth: int) -> Iterator[Structure]:
        if self.depth <= depth:
            yield self
        else:
            for part in self.parts:
                yield from part._at(depth)

    def __iter__(self) -> Iterator[Structure]:
        """The node and all below, from the top."""
        yield self
        for part in self.parts:
            yield from part

    @property
    def label(self) -> str:
        """What the node is, in a word or its formula."""
        if self.operation == "input":
            return self.names[self.inputs[0]]
        if self.formula is not None:
            return f"function of {self.formula}"
        return {
            "add": "sum",
            "multiply": "product",
            "inside": "function of a sum",
            "function": f"function of {len(self.parts)} numbers",
            "constant": "constant",
        }[self.operation]

    def __str__(self) -> str:
        lines = list(self._lines("", ""))
        if self.idle:
            lines.append("idle: " + ", ".join(self.names[i] for i in self.idle))
        return "\n".join(lines)

    def _lines(self, first: str, further: str) -> Iterator[str]:
        label = self.label
        if self.shift:
            label += f" (after adding {self.shift:.6g})"
        yield first + label
        for part in self.parts:
            last = part is self.parts[-1]
            yield from part._lines(
                further + ("└─ " if last else "├─ "), further + ("   " if last else "│  ")
            )


def structure(
    f: Target,
    x: Any,
    *,
    names: Sequence[Any] | None = None,
    tolerance: float = 1e-2,
) -> Structure:
    """Find the tree of a function: which operations join which groups of inputs.

    It asks only for the function's derivatives, so it reads a fitted network or any code that torch
    can differentiate (the tree converter of KAN 2.0, arXiv 2408.10205, sec. 4.3). The tree is drawn
    by `plot.tree`.

    Args:
        f: A KAN, a module or a function of tensors, (batch, inputs) to (batch, 1) or (batch,).
        x: Points, (batch, inputs), at least two rows, where f is smooth; best a few hundred that
            fill a box, as the inputs of one row are put together with some of another.
        names: What the inputs are called, as names or SymPy symbols; x_1, x_2, ... by default.
        tolerance: The relative score up to which a mixed derivative is taken for zero. A network
            that was fitted to a relative error e needs some 10 to 100 e.

    Returns:
        The root of the tree.

    Raises:
        ShapeError: If x is not of shape (batch, inputs), f gives more than one output, or the
            number of names is wrong.
        DataError: If values are missing, an input does not vary, or f has no derivatives.
        ConfigError: If the tolerance is not accepted.

    Example:
        >>> points = torch.rand(300, 4, dtype=torch.float64) + 0.5
        >>> def f(x):
        ...     return torch.sin(x[:, 0] ** 2 + x[:, 1] ** 2) * x[:, 2].exp() + x[:, 3]
        >>> print(ew.science.structure(f, points))
        sum
        ├─ product
        │  ├─ function of x_1**2 + x_2**2
        │  │  ├─ x_1
        │  │  └─ x_2
        │  └─ x_3
        └─ x_4
    """
    check_tolerance(tolerance)
    x = points(x)
    called = [f"x_{i + 1}" for i in range(x.shape[1])] if names is None else [*map(str, names)]
    if len(called) != x.shape[1]:
        raise ShapeError(f"x has {x.shape[1]} inputs, got {len(called)} names.")
    spread = spread_of(x)
    function = differentiable(f)
    found = function(x).scaled(spread)
    idle = idle_inputs(found, tolerance)
    inputs = tuple(i for i in range(x.shape[1]) if i not in idle)
    if not inputs:
        return Structure("constant", (), names=tuple(called), idle=idle)
    anchor = _anchor(x, found, inputs)
    grower = _Grower(function, x, inputs, anchor, turns(found), tuple(called), tolerance)
    tree = grower.node(inputs)
    return replace(tree, idle=idle)


@dataclass(frozen=True)
class _Grower:
    """Grow the tree of a function downwards.

    Attributes:
        function: The function with its derivatives.
        x: The points.
        inputs: The inputs that matter.
        anchor: Where inputs are at rest.
        turned: What the function says of all triples of inputs.
        names: The inputs' names.
        tolerance: What is taken for zero.
    """

    function: Function
    x: Tensor
    inputs: Group
    anchor: Tensor
    turned: Tensor
    names: tuple[str, ...]
    tolerance: float

    def node(self, group: Group) -> Structure:
        if len(group) == 1:
            return Structure("input", group, names=self.names)
        part = Slice(self.function, group, self.anchor)
        z = self.x[:, list(group)]
        try:
            for operation, shift in _OPERATIONS:
                found = separated(part, z, operation, self.tolerance, shift)
                if found.separable:
                    return self._joined(group, found)
        except DataError:  # rows put together anew where the function is not defined
            part = None
        groups, free = parts_of(group, self.turned, self.tolerance)
        word: Word = "inside" if free and len(groups) > 2 else "function"
        score = 0.0
        if part is not None and free:
            found = separated(part, z, "inside", self.tolerance)
            score = found.between([[group.index(i) for i in g] for g in groups])
            word = "inside" if score <= self.tolerance else "function"
        formula = None
        if word == "inside" and part is not None and len(groups) == len(group):
            formula = sum_of_powers(z, part(z), [self.names[i] for i in group], self.tolerance)
        return self._with_parts(word, groups, score if word == "inside" else 0.0, formula=formula)

    def _joined(self, group: Group, found: Separation) -> Structure:
        groups = tuple(tuple(group[i] for i in part) for part in found.groups)
        idle = tuple(group[i] for i in found.idle)  # at this anchor only
        groups = (*groups, *((i,) for i in idle))
        shift = found.shift if len(group) == len(self.inputs) else 0.0
        return self._with_parts(found.operation, groups, found.score, shift=shift)

    def _with_parts(
        self, word: Word, groups: Groups, score: float, *, shift: float = 0.0, formula: Any = None
    ) -> Structure:
        parts = tuple(self.node(group) for group in groups)
        inputs = tuple(i for part in parts for i in part.inputs)
        return Structure(word, inputs, parts, self.names, score, shift, formula)


def _anchor(x: Tensor, found: Derivatives, inputs: Group) -> Tensor:
    """The row at which the function and all its derivatives are furthest from zero."""
    size = torch.cat([found.gradient[:, list(inputs)].abs(), found.value.abs()[:, None]], 1)
    relative = size / size.mean(0).clamp_min(1e-300)
    return x[int(relative.clamp_max(1).amin(1).argmax())]
