"""Find out which inputs act together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._jets import jet
from edgewise._network import KAN, check_sample
from edgewise._prune import chosen_outputs

_ROWS = 4096
"""How many rows are differentiated at a time."""


@torch.no_grad()
def interactions(
    model: KAN, x: Any, *, output: int | Sequence[int] | None = None
) -> Float[Tensor, "inputs inputs"]:
    r"""Score pairs of inputs by how strongly they act together.

    Two inputs interact if what one does depends on the other, which is if
    :math:`E[(\partial^2 f / \partial x_i \partial x_j)^2] > 0` (Friedman and Popescu 2008,
    *Predictive learning via rule ensembles*, sec. 8). Here its root, made free of units by the
    standard deviations of the inputs and of the output,

    .. math:: I_{ij} = \sqrt{E[(\partial_i \partial_j f)^2]} \, \sigma_i \sigma_j / \sigma_f,

    and of several outputs the largest. It is zero if f is a sum of functions of which none has both
    inputs. For x y with independent inputs of mean zero it is 1.

    Args:
        model: The network; it is not changed. Splines of degree 1 have no second derivatives: of
            them only what product nodes do is seen.
        x: Inputs, (batch, inputs), at least two rows: a tensor or a NumPy array.
        output: The output to explain, or several; all by default.

    Returns:
        The scores, symmetric; those on the diagonal are zero. An output that does not vary counts
        as zero.

    Raises:
        ConfigError: If there is no such output.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.

    Example:
        >>> law = ew.compile_formula("x*y + sin(z)", ["x", "y", "z"])
        >>> points = torch.randn(1000, 3, dtype=torch.float64)
        >>> scores = ew.interactions(law, points)
        >>> float(scores[0, 1]) > 0.5, scores[0, 2].item(), scores[1, 2].item()
        (True, 0.0, 0.0)
    """
    x = check_sample(model, x, "Interactions")
    chosen = chosen_outputs(model, output)
    if model.in_features == 1:
        return x.new_zeros(1, 1)
    squares = torch.zeros((), dtype=x.dtype, device=x.device)
    values = []
    for rows in x.split(_ROWS):
        u = jet(model, rows, 2, mixed=True)
        squares = squares + u.hessian[:, chosen].square().sum(0)  # (outputs, inputs, inputs)
        values.append(u.value[:, chosen])
    spread, of_inputs = torch.cat(values).std(0), x.std(0)
    scores = (squares / len(x)).sqrt() * of_inputs.unsqueeze(1) * of_inputs
    flat = spread <= 1e-14 * torch.cat(values).abs().amax(0)
    scores = torch.where(flat[:, None, None], 0.0, scores / spread[:, None, None]).amax(0)
    return scores.fill_diagonal_(0)
