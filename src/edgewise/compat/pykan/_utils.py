"""pykan's `kan.utils`: rows to fit, derivatives, and small tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._primitives import Primitive
from edgewise._symbolic._match import _polish
from edgewise.compat.pykan._feynman import as_function
from edgewise.compat.pykan._words import differentiable


def create_dataset(
    f: Callable[[Tensor], Tensor],
    n_var: int = 2,
    f_mode: str = "col",
    ranges: Any = (-1, 1),
    train_num: int = 1000,
    test_num: int = 1000,
    normalize_input: bool = False,
    normalize_label: bool = False,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> dict[str, Tensor]:
    """Draw rows uniformly and label them with a function.

    The rows are those that pykan draws from the same seed, but torch's and NumPy's own generators
    stay as they are.

    Args:
        f: The function; of inputs (batch, n_var) with `f_mode="col"`, of (n_var, batch) with "row".
        n_var: The number of inputs.
        f_mode: "col" or "row".
        ranges: Lower and upper end, for all inputs or as (n_var, 2).
        train_num: How many rows to fit.
        test_num: How many rows to test.
        normalize_input: Shift and scale the inputs to mean 0 and standard deviation 1 over the rows
            to fit.
        normalize_label: The same for the labels.
        device: Where the rows go.
        seed: What the rows are drawn from.

    Returns:
        train_input, test_input (rows, n_var) and train_label, test_label (rows, outputs), in
        torch's default dtype.

    Raises:
        ConfigError: If `f_mode` is neither, or the ranges do not fit.
        ShapeError: If `f` does not give one row for each row of inputs.

    Example:
        >>> from edgewise.compat.pykan import create_dataset
        >>> dataset = create_dataset(lambda x: x[:, [0]] * x[:, [1]], n_var=2, train_num=100)
        >>> dataset["train_input"].shape, dataset["test_label"].shape
        (torch.Size([100, 2]), torch.Size([1000, 1]))
    """
    if f_mode not in ("col", "row"):
        raise ConfigError(
            f"f_mode is 'col' (inputs in columns) or 'row' (inputs in rows), got {f_mode!r}."
        )
    ends = np.asarray(ranges, dtype=float)
    if ends.shape not in ((2,), (n_var, 2)):
        raise ConfigError(
            f"ranges is [low, high] or a list of {n_var} such pairs, got an array of shape "
            f"{ends.shape}."
        )
    ends = np.broadcast_to(ends, (n_var, 2))
    generator = torch.Generator().manual_seed(seed)
    train, test = torch.zeros(train_num, n_var), torch.zeros(test_num, n_var)
    for i, (low, high) in enumerate(ends):
        for rows in (train, test):
            rows[:, i] = torch.rand(len(rows), generator=generator) * (high - low) + low
    labels = [_labels(f, rows, f_mode) for rows in (train, test)]
    inputs = [train, test]
    if normalize_input:
        inputs = _normalized(inputs)
    if normalize_label:
        labels = _normalized(labels)
    names = ("train_input", "test_input", "train_label", "test_label")
    return {name: rows.to(device) for name, rows in zip(names, [*inputs, *labels], strict=True)}


def _labels(f: Callable[[Tensor], Tensor], rows: Tensor, f_mode: str) -> Tensor:
    labels = f(rows if f_mode == "col" else rows.T)
    if labels.ndim == 1:
        labels = labels.unsqueeze(1)
    elif f_mode == "row" and labels.shape[0] != len(rows):
        labels = labels.T
    if labels.ndim != 2 or len(labels) != len(rows):
        raise ShapeError(
            f"f gave labels of shape {tuple(labels.shape)} for {len(rows)} rows: it has to give "
            "one row for each."
        )
    return labels


def _normalized(parts: list[Tensor]) -> list[Tensor]:
    mean, std = parts[0].mean(0, keepdim=True), parts[0].std(0, keepdim=True)
    return [(part - mean) / std for part in parts]


def create_dataset_from_data(
    inputs: Tensor, labels: Tensor, train_ratio: float = 0.8, device: torch.device | str = "cpu"
) -> dict[str, Tensor]:
    """Split rows at random into those to fit and those to test.

    As in pykan, the split comes from NumPy's global generator: seed it with `numpy.random.seed` to
    get the same again.

    Args:
        inputs: (rows, inputs).
        labels: (rows, outputs), or (rows,), which becomes one output.
        train_ratio: The share of the rows to fit.
        device: Where the rows go.

    Raises:
        DataError: If there are not as many labels as inputs.
        ConfigError: If the ratio is not between 0 and 1.

    Example:
        >>> from edgewise.compat.pykan import create_dataset_from_data
        >>> dataset = create_dataset_from_data(torch.rand(100, 2), torch.rand(100))
        >>> dataset["train_input"].shape, dataset["test_label"].shape
        (torch.Size([80, 2]), torch.Size([20, 1]))
    """
    rows = len(inputs)
    if len(labels) != rows:
        raise DataError(f"There are {rows} rows of inputs and {len(labels)} of labels.")
    if not 0 < train_ratio <= 1:
        raise ConfigError(f"train_ratio is a share between 0 and 1, got {train_ratio}.")
    labels = labels.unsqueeze(1) if labels.ndim == 1 else labels
    chosen = np.random.choice(rows, int(rows * train_ratio), replace=False)  # noqa: NPY002
    rest = np.setdiff1d(np.arange(rows), chosen)
    return {
        f"{part}_{kind}": values[torch.from_numpy(ids)].detach().to(device)
        for kind, values in (("input", inputs), ("label", labels))
        for part, ids in (("train", chosen), ("test", rest))
    }


def augment_input(orig_vars: Sequence[Any], aux_vars: Sequence[Any], x: Any) -> Any:
    """Put auxiliary variables before the inputs.

    Args:
        orig_vars: The SymPy symbols of the inputs.
        aux_vars: SymPy expressions of them.
        x: Inputs (batch, inputs), or a dataset, which gets the new inputs and is returned.

    Raises:
        ShapeError: If there is not one symbol for each input.

    Example:
        >>> from edgewise.compat.pykan import augment_input
        >>> a, b = sympy.symbols("a b")
        >>> augment_input([a, b], [a + b, a * b], torch.tensor([[2.0, 3.0]]))
        tensor([[5., 6., 2., 3.]])
    """
    if isinstance(x, dict):
        for part in ("train_input", "test_input"):
            x[part] = augment_input(orig_vars, aux_vars, x[part])
        return x
    if x.shape[1] != len(orig_vars):
        raise ShapeError(f"There are {len(orig_vars)} symbols for {x.shape[1]} inputs.")
    more = [as_function(list(orig_vars), aux)(x) for aux in aux_vars]
    return torch.cat([*more, x], dim=1)


def batch_jacobian(
    func: Callable[[Tensor], Tensor], x: Tensor, create_graph: bool = False, mode: str = "scalar"
) -> Tensor:
    """Differentiate a function in the inputs of each row.

    Args:
        func: A function or model from (batch, inputs) to (batch, outputs) that treats rows apart.
        x: Inputs (batch, inputs).
        create_graph: Whether the result can be differentiated again.
        mode: "scalar" gives the gradient of the first output, "vector" that of each.

    Returns:
        (batch, inputs), or (batch, outputs, inputs) with mode "vector".

    Raises:
        ConfigError: If `mode` is neither.

    Example:
        >>> from edgewise.compat.pykan import batch_jacobian
        >>> batch_jacobian(lambda x: x[:, [0]] * x[:, [1]], torch.tensor([[2.0, 3.0]]))
        tensor([[3., 2.]])
    """
    if mode not in ("scalar", "vector"):
        raise ConfigError(f"mode is 'scalar' or 'vector', got {mode!r}.")
    with torch.enable_grad():
        x = x.view_as(x) if x.requires_grad else x.detach().clone().requires_grad_()
        y = func(x)
        y = y.unsqueeze(1) if y.ndim == 1 else y
        outputs = 1 if mode == "scalar" else y.shape[1]
        rows = [_gradient(y[:, o].sum(), x, create_graph, o < outputs - 1) for o in range(outputs)]
        jacobian = torch.stack(rows, 1)
    jacobian = jacobian if create_graph else jacobian.detach()
    return jacobian[:, 0] if mode == "scalar" else jacobian


def _gradient(y: Tensor, x: Tensor, create_graph: bool, again: bool) -> Tensor:
    """The gradient, which is 0 where y does not depend on x."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (slope,) = torch.autograd.grad(
        y, x, create_graph=create_graph, retain_graph=create_graph or again, allow_unused=True
    )
    return torch.zeros_like(x) if slope is None else slope


def batch_hessian(
    model: Callable[[Tensor], Tensor], x: Tensor, create_graph: bool = False
) -> Tensor:
    """Differentiate the first output of a function twice in the inputs of each row.

    Args:
        model: A function or model from (batch, inputs) to (batch, outputs) that treats rows apart.
        x: Inputs (batch, inputs).
        create_graph: Whether the result can be differentiated again.

    Returns:
        (batch, inputs, inputs).

    The second derivatives of a KAN go through its layers with the values, and from the first call
    on its splines pass the ends of their grids smoothly (`KANLayer.smooth`).

    Example:
        >>> from edgewise.compat.pykan import batch_hessian
        >>> batch_hessian(lambda x: x[:, [0]] * x[:, [1]], torch.tensor([[2.0, 3.0]]))
        tensor([[[0., 1.],
                 [1., 0.]]])
    """
    from edgewise.compat.pykan._jets import has_jets, hessian
    from edgewise.compat.pykan._network import MultKAN

    if isinstance(model, MultKAN):
        for act, _ in model.parts():  # for an equation an end of second derivatives is a wall
            act.smooth = True
        if has_jets(model, x):
            with torch.set_grad_enabled(create_graph):
                return hessian(model, x)

    def gradient(x: Tensor) -> Tensor:
        return batch_jacobian(model, x, create_graph=True)

    return batch_jacobian(gradient, x, create_graph=create_graph, mode="vector")


class _Losses(nn.Module):
    """A model with its loss as the output, so that its parameters can be put in from outside."""

    def __init__(self, model: nn.Module, mode: str, lamb: float, penalty: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.mode, self.lamb, self.penalty = model, mode, lamb, penalty

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        loss = (self.model(inputs) - labels).square().mean()
        if self.mode == "pred":
            return loss
        penalty = self.model.get_reg(**self.penalty)  # type: ignore[operator]
        return penalty if self.mode == "reg" else loss + self.lamb * penalty


def get_derivative(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    derivative: str = "hessian",
    loss_mode: str = "pred",
    reg_metric: str | None = None,
    lamb: float = 0.0,
    lamb_l1: float = 1.0,
    lamb_entropy: float = 0.0,
) -> Tensor:
    """Differentiate the loss in the parameters of a KAN, an MLP or any torch module.

    Args:
        model: The module; it is not changed. With a penalty it needs a method `get_reg`.
        inputs: (batch, inputs).
        labels: (batch, outputs).
        derivative: "jacobian" or "hessian".
        loss_mode: "pred", the mean square; "reg", the penalty; "all", their sum.
        reg_metric: What the penalty is taken of; by default the weights of an MLP and the edges of
            a KAN.
        lamb: The weight of the penalty with "all".
        lamb_l1: The weight of the absolute values in the penalty.
        lamb_entropy: The weight of the entropy in the penalty.

    Returns:
        (1, parameters) or (1, parameters, parameters), in the order of `model2param`.

    Raises:
        ConfigError: If a mode is unknown, or the module has no penalty.

    Example:
        >>> from edgewise.compat.pykan import MLP, get_derivative
        >>> get_derivative(MLP([1, 1]), torch.ones(4, 1), torch.zeros(4, 1))
        tensor([[[2., 2.],
                 [2., 2.]]])
    """
    if derivative not in ("hessian", "jacobian"):
        raise ConfigError(f"derivative is 'hessian' or 'jacobian', got {derivative!r}.")
    if loss_mode not in ("pred", "reg", "all"):
        raise ConfigError(f"loss_mode is 'pred', 'reg' or 'all', got {loss_mode!r}.")
    if loss_mode != "pred" and not hasattr(model, "get_reg"):
        raise ConfigError(
            f"{type(model).__name__} has no penalty (no method get_reg): use loss_mode='pred'."
        )
    is_mlp = hasattr(model, "linears")
    penalty: dict[str, Any] = {"lamb_l1": lamb_l1, "lamb_entropy": lamb_entropy}
    penalty["reg_metric"] = reg_metric or ("w" if is_mlp else "edge_forward_spline_n")
    if not is_mlp:
        penalty |= {"lamb_coef": 0.0, "lamb_coefdiff": 0.0}
    loss = _Losses(model, loss_mode, lamb, penalty)
    names, values = zip(*loss.named_parameters(), strict=True)
    sizes = [value.numel() for value in values]

    def function(flat: Tensor) -> Tensor:
        parts = flat.split(sizes)
        given = {
            name: part.view_as(value)
            for name, part, value in zip(names, parts, values, strict=True)
        }
        return torch.func.functional_call(loss, given, (inputs, labels))

    flat = torch.cat([value.detach().reshape(-1) for value in values])
    if derivative == "jacobian":
        result = torch.autograd.functional.jacobian(function, flat)
    else:
        result = torch.autograd.functional.hessian(function, flat)
    assert isinstance(result, Tensor)
    return result.unsqueeze(0)


def model2param(model: nn.Module) -> Tensor:
    """Put all parameters of a module into one vector (parameters,)."""
    return torch.cat([parameter.reshape(-1) for parameter in model.parameters()])


def distances(one: int, other: int) -> Tensor:
    """How far the nodes of two layers are apart (one, other) when both are drawn at width 1."""
    places, others = ((torch.arange(n) + 0.5) / n for n in (one, other))
    return (places[:, None] - others).abs()


def sparse_mask(in_dim: int, out_dim: int) -> Tensor:
    """Connect each node to the nearest of the other layer when both are drawn at equal width.

    Returns:
        (in_dim, out_dim), 1 for each connection.

    Example:
        >>> from edgewise.compat.pykan import sparse_mask
        >>> sparse_mask(4, 2)
        tensor([[1., 0.],
                [1., 0.],
                [0., 1.],
                [0., 1.]])
    """
    distance = distances(in_dim, out_dim)
    mask = torch.zeros(in_dim, out_dim)
    mask[torch.arange(in_dim), distance.argmin(1)] = 1.0
    mask[distance.argmin(0), torch.arange(out_dim)] = 1.0
    return mask


def ex_round(ex1: Any, n_digit: int) -> Any:
    """Round each float in a SymPy expression.

    Example:
        >>> from edgewise.compat.pykan import ex_round
        >>> a = sympy.Symbol("a")
        >>> ex_round(3.14534242 * sympy.sin(2.002 * a) - 2.32345402, 2)
        3.15*sin(2.0*a) - 2.32
    """
    import sympy

    return ex1.xreplace({number: round(number, n_digit) for number in ex1.atoms(sympy.Float)})


def fit_params(
    x: Tensor,
    y: Tensor,
    fun: Callable[[Tensor], Tensor],
    a_range: tuple[float, float] = (-10, 10),
    b_range: tuple[float, float] = (-10, 10),
    grid_number: int = 101,
    iteration: int = 3,
    verbose: bool = True,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    r"""Fit :math:`c\,f(a x + b) + d` to points.

    A scan of a and b over their ranges, then Levenberg–Marquardt in all four constants, which may
    leave the ranges. The coefficient of determination is exact for values of any size.

    Args:
        x: (points,).
        y: (points,).
        fun: An elementwise torch function.
        a_range: Where a is scanned.
        b_range: Where b is scanned.
        grid_number: How many values of each are scanned.
        iteration: How many times 20 steps polish the best of the scan.
        verbose: Print the coefficient of determination.
        device: Where the constants go.

    Returns:
        The tensor (a, b, c, d), and the coefficient of determination.

    Raises:
        ShapeError: If x and y are not of one shape (points,).
        ConfigError: If the function has no finite values anywhere in the ranges.

    Example:
        >>> from edgewise.compat.pykan import fit_params
        >>> x = torch.linspace(-1, 1, 100)
        >>> constants, r2 = fit_params(x, 5 * torch.sin(3 * x + 2) + 0.7, torch.sin, verbose=False)
        >>> abs(float(r2) - 1) < 1e-6
        True
    """
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(
            f"fit_params takes points x and y of one shape (points,), got {tuple(x.shape)} and "
            f"{tuple(y.shape)}."
        )
    fun = differentiable(fun)
    t, v = x.detach().double().cpu(), y.detach().double().cpu()
    starts = torch.cartesian_prod(
        *(
            torch.linspace(float(low), float(high), grid_number, dtype=torch.float64)
            for low, high in (a_range, b_range)
        )
    )
    some = torch.linspace(0, len(t) - 1, min(len(t), 60)).round().long()
    spread = _explained(fun, starts, t[t.argsort()][some], v[t.argsort()][some])
    best = spread.topk(min(12, len(spread))).indices
    best = best[spread[best] >= 0]
    if len(best) == 0:
        raise ConfigError(
            "The function has no finite values at these points for any a and b in the ranges: "
            "widen a_range or b_range, or choose another function."
        )
    values = fun(starts[best, :1] * t + starts[best, 1:])
    finite = values.isfinite().all(1)
    best, values = best[finite], values[finite]
    f, g = values - values.mean(1, keepdim=True), v - v.mean()
    c = (f @ g) / f.square().sum(1).clamp_min(1e-300)
    theta = torch.cat([starts[best], torch.stack([c, v.mean() - c * values.mean(1)], 1)], 1)
    wrapped = Primitive("fun", fun, lambda u: u)
    theta, loss = _polish(wrapped, theta, t, v, steps=20 * iteration)
    winner = int(loss.argmin())
    r2 = 1 - loss[winner] / g.square().sum().clamp_min(1e-300)
    if verbose:
        print(f"r2 is {float(r2)}")
        if r2 < 0.9:
            print("r2 is not very high: check that this is the right function.")
    return theta[winner].to(x.dtype).to(device), r2.to(x.dtype).to(device)


def _explained(fun: Callable[[Tensor], Tensor], starts: Tensor, t: Tensor, v: Tensor) -> Tensor:
    """The share of the variance that c f(a t + b) + d explains at each start; -1 if not finite."""
    g, parts = v - v.mean(), []
    for part in starts.split(4096):
        f = fun(part[:, :1] * t + part[:, 1:])
        f = f - f.mean(1, keepdim=True)
        share = (f @ g).square() / (f.square().sum(1) * g.square().sum()).clamp_min(1e-300)
        parts.append(torch.where(share.isfinite(), share, share.new_tensor(-1.0)))
    return torch.cat(parts)
