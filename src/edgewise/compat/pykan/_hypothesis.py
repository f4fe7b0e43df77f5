"""pykan's `kan.hypothesis`: what separates, what is symmetric, how inputs are combined.

The verdicts are those of `edgewise.science`, whose scores are relative: they stay the same when the
units of the function change, where pykan's do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from edgewise import science
from edgewise._errors import ConfigError, require
from edgewise.compat.pykan._utils import batch_hessian, batch_jacobian
from edgewise.plot._tree import draw_tree, size_of
from edgewise.science import Structure

_OPERATIONS = {"add": "add", "mul": "multiply"}
_WORDS: dict[str, Any] = {"Add": "add", "Mul": "multiply", "GS": "inside", "": "function"}


def detect_separability(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    mode: str = "add",
    score_th: float = 1e-2,
    res_th: float = 1e-2,
    n_clusters: int | list[int] | None = None,
    bias: float = 0.0,
    verbose: bool = False,
) -> dict[str, Any]:
    """Find groups of inputs over which a function is a sum or a product.

    Args:
        model: A KAN, an MLP or a function from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        mode: "add" or "mul".
        score_th: Pairs of inputs below this relative score are apart.
        res_th: What may be left between groups, as a share of all scores, if `n_clusters` is given.
        n_clusters: How many groups, or a range [least, most] of which the most that leave little
            enough are taken. By default as many as `score_th` allows.
        bias: What is added to the function before it is a product.
        verbose: Print the share that is left for each number of groups.

    Returns:
        hessian: the medians of the second derivatives (of the logarithm with "mul") in standard
        deviations of the inputs, (inputs, inputs); n_groups; labels: the group of each input;
        groups: the inputs of each group. Nothing found is one group.

    Raises:
        ConfigError: If `mode` is neither.

    Example:
        >>> from edgewise.compat.pykan import detect_separability
        >>> x = torch.normal(0, 1, size=(100, 3))
        >>> f = lambda x: x[:, [0]] ** 2 + torch.exp(x[:, [1]] + x[:, [2]])
        >>> found = detect_separability(f, x)
        add separability detected
        >>> found["groups"]
        [[0], [1, 2]]
    """
    operation = _operation(mode)
    found = science.separate(model, x, operation, tolerance=score_th, shift=bias)
    scores, count = found.scores, x.shape[1]
    ladder = _ladder(scores)
    shares = {n: _share(scores, groups) for n, groups in ladder.items()}
    if n_clusters is None:
        groups = [list(group) for group in (*found.groups, *((i,) for i in found.idle))]
    else:
        ends = [n_clusters, n_clusters] if isinstance(n_clusters, int) else n_clusters
        fits = [n for n in range(ends[0], ends[-1] + 1) if n in shares and shares[n] < res_th]
        groups = ladder[max(fits)] if fits else [list(range(count))]
    groups = sorted(groups)
    if verbose:
        for n, share in shares.items():
            print(f"n_group={n}, residual_ratio={share}")
    print(f"{mode} separability {'detected' if len(groups) > 1 else 'not detected'}")
    labels = [next(g for g, group in enumerate(groups) if i in group) for i in range(count)]
    return {
        "hessian": _median_hessian(model, x, mode, bias),
        "n_groups": len(groups),
        "labels": labels,
        "groups": groups,
    }


def test_separability(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    groups: Sequence[Sequence[int]],
    mode: str = "add",
    threshold: float = 1e-2,
    bias: float = 0,
) -> bool:
    """Test whether a function is a sum or a product over these groups (and the other inputs).

    Args:
        model: A KAN, an MLP or a function from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        groups: Lists of inputs.
        mode: "add" or "mul".
        threshold: Up to which relative score it is.
        bias: What is added to the function before it is a product.

    Raises:
        ConfigError: If `mode` is neither, or an input is in two groups.

    Example:
        >>> from edgewise.compat.pykan import test_separability
        >>> x = torch.normal(0, 1, size=(100, 3))
        >>> product = lambda x: x[:, [0]] ** 2 * (x[:, [1]] + x[:, [2]])
        >>> test_separability(product, x, [[0], [1, 2]], mode="mul")
        True
        >>> test_separability(product, x, [[0], [1, 2]], mode="add")
        False
    """
    found = science.separate(model, x, _operation(mode), shift=bias)
    return found.between(groups) <= threshold


def test_general_separability(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    groups: Sequence[Sequence[int]],
    threshold: float = 1e-2,
) -> bool:
    """Test whether these groups enter a function only through a sum over them.

    Inputs in none of the groups may enter as they like.

    Args:
        model: A KAN, an MLP or a function from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        groups: Lists of inputs.
        threshold: Up to which relative score it is.

    Example:
        >>> from edgewise.compat.pykan import test_general_separability
        >>> x = torch.normal(0, 1, size=(100, 3))
        >>> f = lambda x: x[:, [0]] ** 2 * (x[:, [1]] ** 2 + x[:, [2]] ** 2) ** 2
        >>> test_general_separability(f, x, [[0], [1, 2]])
        True
        >>> test_general_separability(f, x, [[1], [0, 2]])
        False
    """
    named = [i for group in groups for i in group]
    if len(named) < x.shape[1]:
        if not test_symmetry(model, x, named, dependence_th=threshold):
            return False
        model, x = _alone(model, x, named)
        groups = [[named.index(i) for i in group] for group in groups]
    return science.separate(model, x, "inside").between(groups) <= threshold


def test_symmetry(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    group: Sequence[int],
    dependence_th: float = 1e-3,
) -> bool:
    """Test whether a group of inputs enters a function through one number.

    Args:
        model: A KAN, an MLP or a function from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        group: The inputs.
        dependence_th: Up to which relative score it does.

    Example:
        >>> from edgewise.compat.pykan import test_symmetry
        >>> x = torch.normal(0, 1, size=(100, 3))
        >>> f = lambda x: x[:, [0]] ** 2 * (x[:, [1]] + x[:, [2]])
        >>> test_symmetry(f, x, [1, 2]), test_symmetry(f, x, [0, 2])
        (True, False)
    """
    if len(group) in (0, x.shape[1]):
        return True
    return float(science.lump(model, x, list(group)).score) <= dependence_th


def test_symmetry_var(
    model: Callable[[Tensor], Tensor], x: Tensor, input_vars: Sequence[Any], symmetry_var: Any
) -> Tensor:
    """Compare the gradient of a function with that of an expression in its inputs.

    Args:
        model: A KAN, an MLP or a function from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        input_vars: The SymPy symbols of the inputs.
        symmetry_var: A SymPy expression of some of them.

    Returns:
        The sizes of the cosines (batch,); their share above 0.9 is printed.

    Example:
        >>> from edgewise.compat.pykan import test_symmetry_var
        >>> a, b, c = sympy.symbols("a b c")
        >>> x = torch.normal(0, 1, size=(100, 3))
        >>> f = lambda x: x[:, [0]] * (x[:, [1]] + x[:, [2]])
        >>> found = test_symmetry_var(f, x, [a, b, c], b + c)
        100.0% data have more than 0.9 cosine similarity
        suggesting symmetry
    """
    names = [str(symbol) for symbol in input_vars]
    found = science.invariant(model, x, symmetry_var, names=names)
    print(f"{100 * found.share}% data have more than 0.9 cosine similarity")
    print("suggesting symmetry" if found.share > 0.9 else "not suggesting symmetry")
    return found.cosines.to(x.dtype)


def batch_grad_normgrad(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    group: Sequence[int],
    create_graph: bool = False,
) -> Tensor:
    """Differentiate the direction of the gradient in a group by the other inputs.

    Args:
        model: A function or model from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        group: The inputs of the group.
        create_graph: Whether the result can be differentiated again.

    Returns:
        (batch, group, others): 0 where the group enters through one number.
    """
    inside, outside = _parts(group, x.shape[1])
    gradient = batch_jacobian(model, x, create_graph=create_graph)[:, inside]
    hessian = batch_hessian(model, x, create_graph=create_graph)[:, inside][:, :, outside]
    norm = gradient.norm(dim=1, keepdim=True) + 1e-6
    unit = gradient / norm  # (batch, group)
    along = torch.einsum("bi,bio->bo", unit, hessian)
    return (hessian - unit[:, :, None] * along[:, None]) / norm[:, :, None]


def get_dependence(model: Callable[[Tensor], Tensor], x: Tensor, group: Sequence[int]) -> Tensor:
    """Take the medians of `batch_grad_normgrad` over the rows, in standard deviations.

    Returns:
        (group, others).
    """
    inside, outside = _parts(group, x.shape[1])
    std = x.std(0)
    scaled = batch_grad_normgrad(model, x, inside) * std[inside, None] * std[outside]
    return scaled.abs().median(0).values


def get_molecule(
    model: Callable[[Tensor], Tensor], x: Tensor, sym_th: float = 1e-3, verbose: bool = True
) -> list[list[list[int]]]:
    """Find how inputs are combined, level by level, from single ones to all.

    Args:
        model: A KAN, an MLP or a function from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        sym_th: Up to which relative score a group enters through one number.
        verbose: Print the levels.

    Returns:
        For each level its groups of inputs, in an order in which they nest.

    Example:
        >>> from edgewise.compat.pykan import get_molecule
        >>> x = torch.normal(0, 1, size=(100, 4)).double()
        >>> f = lambda x: (x[:, [0]] ** 2 + x[:, [1]] ** 2) ** 2 * (x[:, [2]] ** 2 + x[:, [3]] ** 2)
        >>> get_molecule(f, x, verbose=False)
        [[[0], [1], [2], [3]], [[0, 1], [2, 3]], [[0, 1, 2, 3]]]
    """
    levels = _levels(science.structure(model, x, tolerance=sym_th))
    if verbose:
        print(*levels, sep="\n")
    return levels


def _levels(found: Structure) -> list[list[list[int]]]:
    idle = [[i] for i in found.idle]
    levels = [[list(node.inputs) for node in level] + idle for level in found.levels]
    levels = levels if len(levels) > 1 else [[[i] for i in range(len(found.names))], levels[0]]
    levels[-1] = [[i for group in levels[-1] for i in group]]
    return levels


def get_tree_node(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    moleculess: Sequence[Sequence[Sequence[int]]],
    sep_th: float = 1e-2,
    skip_test: bool = True,
) -> tuple[list[list[int]], list[list[str]]]:
    """Say of each group how many it is made of, and how they are joined.

    Args:
        model: A KAN, an MLP or a function from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        moleculess: What `get_molecule` returned.
        sep_th: Up to which relative score parts separate.
        skip_test: Leave the joins open.

    Returns:
        The numbers, and the joins: "Id" one part only, "GS" a function of a sum, "Add" and "Mul" a
        sum and a product (of all inputs), "" none of these, or not tested.
    """
    arities, properties = [], []
    for level, (below, above) in enumerate(zip(moleculess[:-1], moleculess[1:], strict=True)):
        arities.append([])
        properties.append([])
        is_top = level == len(moleculess) - 2
        for group in above:
            parts = [list(part) for part in below if set(part) <= set(group)]
            arities[-1].append(len(parts))
            if len(parts) == 1:
                properties[-1].append("Id")
            elif skip_test:
                properties[-1].append("")
            else:
                properties[-1].append(_join(model, x, parts, sep_th, is_top))
    return arities, properties


def plot_tree(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    in_var: Sequence[Any] | None = None,
    style: str = "tree",
    sym_th: float = 1e-3,
    sep_th: float = 1e-1,
    skip_sep_test: bool = False,
    verbose: bool = False,
) -> Any:
    """Draw how inputs are combined, as `edgewise.plot.tree` does.

    Args:
        model: A KAN, an MLP or a function from (batch, inputs) to (batch, 1).
        x: Points (batch, inputs).
        in_var: The names of the inputs, as texts or SymPy symbols.
        style: "tree" draws each group as a disc, "box" as a box.
        sym_th: Up to which relative score a group enters through one number.
        sep_th: Up to which relative score parts separate.
        skip_sep_test: Leave the joins open, which is faster.
        verbose: Print the levels.

    Returns:
        The matplotlib figure.

    Raises:
        ConfigError: If `style` is neither, or there is not one name for each input.
    """
    if style not in ("tree", "box"):
        raise ConfigError(f"style is 'tree' or 'box', got {style!r}.")
    count = x.shape[1]
    if in_var is not None and len(in_var) != count:
        raise ConfigError(f"There are {len(in_var)} names for {count} inputs.")
    found = science.structure(model, x, names=in_var, tolerance=sym_th)
    if verbose:
        print(*_levels(found), sep="\n")
    found = _joined(found, None if skip_sep_test else (model, x, sep_th))
    plt = require("matplotlib.pyplot", "plot")
    figure = plt.figure(figsize=size_of(found), layout="constrained", facecolor="white")
    draw_tree(figure.add_subplot(), found, "o" if style == "tree" else "s")
    return figure


def _joined(node: Structure, test: tuple[Any, Tensor, float] | None, top: bool = True) -> Structure:
    """Test again the joins that a tree leaves open, up to another score; or leave all open."""
    if not node.parts:
        return node
    parts = tuple(_joined(part, test, top=False) for part in node.parts)
    if test is None:
        return replace(node, parts=parts, operation="function", formula=None)
    operation = node.operation
    if operation == "function":
        model, x, threshold = test
        groups = [list(part.inputs) for part in parts]
        operation = _WORDS[_join(model, x, groups, threshold, top)]
    return replace(node, parts=parts, operation=operation)


def _alone(
    model: Callable[[Tensor], Tensor], x: Tensor, group: list[int]
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The function of a group, with the other inputs at rest where it matters most."""
    steepest = batch_jacobian(model, x)[:, group].norm(dim=1).argmax()
    anchor = x[steepest].detach()

    def function(u: Tensor) -> Tensor:
        rows = anchor.to(u).repeat(len(u), 1)
        return model(rows.index_copy(1, torch.tensor(group, device=u.device), u))

    return function, x[:, group]


def _operation(mode: str) -> Any:
    if mode not in _OPERATIONS:
        raise ConfigError(f"mode is 'add' or 'mul', got {mode!r}.")
    return _OPERATIONS[mode]


def _parts(group: Sequence[int], count: int) -> tuple[list[int], list[int]]:
    return list(group), [i for i in range(count) if i not in group]


def _join(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    parts: list[list[int]],
    threshold: float,
    is_top: bool,
) -> str:
    if is_top and test_separability(model, x, parts, mode="mul", threshold=threshold):
        return "Mul"
    if is_top and test_separability(model, x, parts, mode="add", threshold=threshold):
        return "Add"
    return "GS" if test_general_separability(model, x, parts, threshold=threshold) else ""


def _median_hessian(model: Callable[[Tensor], Tensor], x: Tensor, mode: str, bias: float) -> Tensor:
    function = model
    if mode == "mul":
        function = lambda x: (model(x) + bias).abs().log()  # noqa: E731
    std = x.std(0)
    return (batch_hessian(function, x) * std * std[:, None]).abs().median(0).values


def _ladder(scores: Tensor) -> dict[int, list[list[int]]]:
    """For each number of groups a partition: the strongest ties are joined first."""
    groups = [[i] for i in range(len(scores))]
    ladder = {len(groups): [list(group) for group in groups]}
    pairs = [(i, j) for i in range(len(scores)) for j in range(i)]
    for i, j in sorted(pairs, key=lambda pair: -float(scores[pair])):
        one, other = (next(g for g in groups if k in g) for k in (i, j))
        if one is not other:
            groups = [g for g in groups if g is not one and g is not other]
            groups.append(sorted([*one, *other]))
            ladder[len(groups)] = [list(group) for group in groups]
    return ladder


def _share(scores: Tensor, groups: list[list[int]]) -> float:
    """What stands between the groups, as a share of all scores."""
    total = float(scores.sum())
    within = sum(float(scores[group][:, group].sum()) for group in groups)
    return (total - within) / total if total else 0.0
