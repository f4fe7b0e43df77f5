"""The picture of a function's structure: operations above, inputs below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewise._errors import ConfigError
from edgewise._symbolic._formula import escape
from edgewise.plot._style import DATA, GRAY, INK, LOCKED, PALE, TEXT, Axes, Figure, new_axes

if TYPE_CHECKING:
    from edgewise.science import Structure

_COLUMN, _ROW = 0.95, 0.95  # inches for each input, and for each level
_SIGNS = {"add": "+", "multiply": "×", "inside": "f(+)", "function": "f"}
_LONGEST = 24  # letters of a formula in the picture


def tree(structure: Structure) -> Figure:
    """Draw the tree of a function, the whole on top and its inputs in a row at the bottom.

    A blue disc is a sum (+) or a product (×) of functions of what comes from below. A vermilion
    f(+) is a function of a sum; where that is a sum of powers, or a product of them, f(×), it
    stands below. A gray f is a function of one number from each part, and nothing more is known.
    A line from an input to a disc is a function of one variable. Inputs that do not matter stand
    aside, in gray.

    Args:
        structure: The tree, from `science.structure`.

    Returns:
        The figure.

    Raises:
        ConfigError: If it has no inputs at all.
        MissingExtraError: If Matplotlib is not installed.

    Example:
        >>> found = ew.science.structure(lambda x: x[:, 0] * x[:, 1].exp(), x)
        >>> figure = ew.plot.tree(found)
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['$x_{1}$', '$x_{2}$', '×']
    """
    if not structure.inputs and not structure.idle:
        raise ConfigError("A tree needs at least one input, got none.")
    figure, axes = new_axes(*size_of(structure))
    draw_tree(axes, structure)
    return figure


def size_of(structure: Structure) -> tuple[float, float]:
    """The width and height of a tree's picture in inches."""
    columns = len(structure.inputs) + len(structure.idle)
    return 0.9 + _COLUMN * columns, 0.8 + _ROW * (structure.depth + 1)


def draw_tree(axes: Axes, structure: Structure, marker: str = "o") -> None:
    """Draw a tree on axes; the marker is what stands for an operation."""
    leaves = [*structure.inputs, *structure.idle]
    columns, levels = len(leaves), structure.depth + 1
    axes.set_axis_off()
    axes.set_xlim(-0.75, columns - 0.25)
    axes.set_ylim(-0.5, max(levels - 0.4, 0.5))
    where = {i: float(column) for column, i in enumerate(leaves)}
    if structure.operation != "constant":
        x, y = _node(axes, structure, where, marker)
        foot = y + (0.2 if structure.operation == "input" else 0.0)
        axes.plot([x, x], [foot, y + 0.45], color=INK, lw=1.2, zorder=1, gid="output")
    for i in structure.idle:
        _name(axes, where[i], structure.names[i], i, GRAY)


def _node(axes: Axes, node: Structure, where: dict[int, float], marker: str) -> tuple[float, float]:
    """Draw a node and all below; tell where it is."""
    if node.operation == "input":
        i = node.inputs[0]
        _name(axes, where[i], node.names[i], i, INK)
        return where[i], 0.0
    ends = [_node(axes, part, where, marker) for part in node.parts]
    x = sum(end[0] for end in ends) / len(ends)
    y = float(node.depth)
    for part, (end, low) in zip(node.parts, ends, strict=True):
        start = low + (0.2 if part.operation == "input" else 0.0)
        axes.plot([end, x], [start, y], color=INK, lw=1.2, zorder=1, gid="branch")
    color = {"add": DATA, "multiply": DATA, "inside": LOCKED}.get(node.operation, GRAY)
    axes.plot(x, y, marker, ms=25, mfc=color, mec="white", mew=2, zorder=2, clip_on=False)
    multiplies = node.formula is not None and not node.formula.is_Add
    sign = "f(×)" if multiplies else _SIGNS[node.operation]
    size = 17 if len(sign) == 1 else 10.5
    style = {**TEXT, "color": "white", "ha": "center", "va": "center_baseline"}
    axes.text(x, y, sign, size=size, zorder=3, gid="operation", **style)
    if node.formula is not None:
        _formula(axes, (x, y), node)
    return x, y


def _formula(axes: Axes, at: tuple[float, float], node: Structure) -> None:
    """Write what stands inside a function below its disc."""
    import sympy

    if len(str(node.formula)) > _LONGEST:
        return
    named = {symbol: _latex(symbol.name) for symbol in node.formula.free_symbols}
    latex = sympy.latex(node.formula, symbol_names=named, mul_symbol=r"\,", fold_short_frac=True)
    latex = latex.replace(r"\frac", r"\dfrac")
    axes.annotate(
        f"${latex}$",
        at,
        xytext=(0, -17),
        textcoords="offset points",
        ha="center",
        va="top",
        zorder=3,
        gid="formula",
        bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": PALE, "lw": 0.6},
        **{**TEXT, "color": LOCKED, "size": 10},
    )


def _name(axes: Axes, x: float, name: str, number: int, color: str) -> None:
    style = {**TEXT, "color": color, "ha": "center", "va": "center"}
    axes.text(x, 0.0, f"${_latex(name)}$", size=13, gid=f"input-{number}", **style)


def _latex(name: str) -> str:
    """A name as mathematics: subscripts and Greek letters as SymPy reads them, words upright."""
    import sympy

    plain = name.replace("_", "").isalnum() and not any(part == "" for part in name.split("_"))
    if plain:
        return sympy.latex(sympy.Symbol(name))
    return rf"\mathrm{{{escape(name)}}}"
