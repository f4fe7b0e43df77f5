"""pykan's `fit`: its arguments, by Levenberg–Marquardt on the same objective where that can be."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise.compat.pykan import _gauss_newton as gn
from edgewise.compat.pykan import _objective as objective

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN

_STARTS, _SCOUT = 5, 8
"""How many starts are tried, and how many steps each."""
_LARGE = 1_000_000
"""Entries of a Jacobian above which steps are dear, and one start has to do."""
_GAIN = 1e-3
"""A step that lowers the objective by a smaller share has come to next to nothing."""


def fit(
    self: MultKAN,
    dataset: dict[str, Tensor],
    opt: str = "LBFGS",
    steps: int = 100,
    log: int = 1,
    lamb: float = 0.0,
    lamb_l1: float = 1.0,
    lamb_entropy: float = 2.0,
    lamb_coef: float = 0.0,
    lamb_coefdiff: float = 0.0,
    update_grid: bool = True,
    grid_update_num: int = 10,
    loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
    lr: float = 1.0,
    start_grid_update_step: int = -1,
    stop_grid_update_step: int = 50,
    batch: int = -1,
    metrics: Sequence[Callable[[], Any]] | None = None,
    save_fig: bool = False,
    in_vars: Sequence[Any] | None = None,
    out_vars: Sequence[Any] | None = None,
    beta: float = 3,
    save_fig_freq: int = 1,
    img_folder: str = "./video",
    singularity_avoiding: bool = False,
    y_th: float = 1000.0,
    reg_metric: str = "edge_forward_spline_n",
    display_metrics: Sequence[str] | None = None,
) -> dict[str, list[Any]]:
    r"""Train the network in place.

    The objective is pykan's: loss + lamb · penalty. With `opt="LBFGS"` and a square or
    cross-entropy loss a step is one of Levenberg–Marquardt, in float64 whatever the network's
    precision is; it does more than the 20 iterations of a step in pykan. So it is with
    `opt="Adam"`, unless `batch` asks for random rows. With another loss, or more than 1,000
    parameters, steps are 20 iterations of L-BFGS (6 from the curvature of each edge where there is
    a penalty), and Adam's. A network that was never trained and gets stuck is started again, from
    parameters drawn with the same seed.

    Args:
        dataset: train_input, train_label, test_input, test_label.
        opt: "LBFGS" or "Adam".
        steps: The number of steps. When six in a row gain less than 0.1 % each (three of
            L-BFGS), the last values are repeated.
        log: How often the progress bar is written.
        lamb: The weight of the penalty.
        lamb_l1: Its weight on the sizes of edges.
        lamb_entropy: Its weight on their entropy.
        lamb_coef: Its weight on the sizes of coefficients.
        lamb_coefdiff: Its weight on the steps between neighboring coefficients.
        update_grid: Whether grids follow what comes through them.
        grid_update_num: How many times, up to `stop_grid_update_step`.
        loss_fn: The loss of (prediction, label); the mean square if not given.
        lr: The step size of Adam and L-BFGS; Levenberg–Marquardt finds its own.
        start_grid_update_step: Grids stay before this step.
        stop_grid_update_step: Grids stay from this step on.
        batch: How many rows are drawn for each step; -1 for all.
        metrics: Functions without arguments, evaluated after each step.
        save_fig: Whether to write a picture of the network to `img_folder`.
        in_vars: Names of the inputs in it.
        out_vars: Names of the outputs in it.
        beta: How fast edges fade in it.
        save_fig_freq: How many steps lie between pictures.
        img_folder: Where pictures go.
        singularity_avoiding: Take the twins of functions that stay finite.
        y_th: How large their values may become.
        reg_metric: What the penalty is of, see `reg`.
        display_metrics: Which results the progress bar shows.

    Returns:
        train_loss and test_loss, square roots of the loss; reg, the penalty; and one list for each
        metric, under its name. A value for each step.

    An interruption from the keyboard leaves the best parameters so far in the network.

    Raises:
        ConfigError: If an argument cannot be honored.
        DataError: If the dataset misses a part or is not finite.
        ShapeError: If inputs and labels do not fit the network.

    Example:
        >>> from edgewise.compat.pykan import KAN, create_dataset
        >>> dataset = create_dataset(lambda x: torch.sin(3 * x[:, [0]]) + x[:, [1]] ** 2, n_var=2)
        >>> model = KAN(width=[2, 1], grid=5, k=3, seed=0)
        >>> results = model.fit(dataset, steps=10)
        >>> len(results["train_loss"]), bool(results["test_loss"][-1] < 1e-2)
        (10, True)
    """
    _check(self, opt, steps, log, lamb, batch, reg_metric, grid_update_num, save_fig_freq)
    data = _rows(self, dataset)
    work = copy.deepcopy(self).double()
    work.save_act = True
    rule = _rule(work, data, loss_fn)
    task = objective.Task(
        *data[:2],
        rule,
        lamb,
        (lamb_l1, lamb_entropy, lamb_coef, lamb_coefdiff),
        reg_metric,
        singularity_avoiding,
        y_th,
    )
    names = [metric.__name__ for metric in metrics or ()]
    results: dict[str, list[Any]] = {name: [] for name in ("train_loss", "test_loss", "reg")}
    results.update({name: [] for name in names})
    unknown = [name for name in display_metrics or () if name not in results]
    if unknown:
        raise ConfigError(f"display_metrics are of {', '.join(results)}, got {unknown}.")
    every = max(1, int(stop_grid_update_step / grid_update_num)) if update_grid else 0
    draw = torch.Generator().manual_seed(self.seed)
    whole = batch == -1 or batch >= len(data[0])
    early = every > 0 and start_grid_update_step <= 0
    stepper, limit = _begin(work, task, opt, lr, steps, whole, early)
    best, left, idle = math.inf, None, 0  # the lowest objective; its state, once grids move
    bar = _bar(steps)
    try:
        for step in bar:
            part = _batch(task, batch, draw)
            if (
                every
                and step % every == 0
                and start_grid_update_step <= step < stop_grid_update_step
            ):
                if left is None and best < math.inf:
                    left = gn.snapshot(work)
                if gn.lay_grids(work, part.x, always=isinstance(stepper, gn.Adam)):
                    stepper.forget()
                    idle = min(idle, 0 if lamb > 0 else 3)
            value = stepper.step(part)
            if part is task and stepper.patience:
                idle = 0 if value < best * (1 - _GAIN) else idle + 1
                if value < best:
                    best, left = value, None
            last = step == limit - 1 or idle >= stepper.patience > 0
            if last and left is not None:
                gn.restore(work, left)
                stepper.forget()
            _note(results, work, task, data, stepper.losses())
            if names or save_fig or last:
                _give(work, self, data[0])
            for metric, name in zip(metrics or (), names, strict=True):
                measured = metric()
                results[name].append(measured.item() if isinstance(measured, Tensor) else measured)
            if save_fig and step % save_fig_freq == 0:
                from edgewise.compat.pykan._plot import save_frame

                save_frame(self, step, img_folder, beta, in_vars, out_vars)
            if step % log == 0:
                shown = display_metrics or ("train_loss", "test_loss", "reg")
                bar.set_description(" | ".join(f"{n}: {float(results[n][-1]):.2e}" for n in shown))
            if last:
                break
    except KeyboardInterrupt:  # what was reached is kept
        if left is not None:
            gn.restore(work, left)
        _give(work, self, data[0])
        raise
    finally:
        bar.close()
    for values in results.values():
        values += [values[-1]] * (steps - len(values))
    self.fresh = False
    self.log_history("fit")
    return results


def _check(
    model: MultKAN,
    opt: str,
    steps: int,
    log: int,
    lamb: float,
    batch: int,
    reg_metric: str,
    grid_update_num: int,
    save_fig_freq: int,
) -> None:
    from edgewise.compat.pykan._network import METRICS

    if opt not in ("LBFGS", "Adam"):
        raise ConfigError(f"opt is 'LBFGS' or 'Adam', got {opt!r}.")
    if reg_metric not in METRICS:
        raise ConfigError(f"reg_metric is one of {', '.join(METRICS)}, got {reg_metric!r}.")
    counts = {
        "steps": steps,
        "log": log,
        "grid_update_num": grid_update_num,
        "save_fig_freq": save_fig_freq,
    }
    for name, value in counts.items():
        if value < 1:
            raise ConfigError(f"{name} is a whole number from 1 on, got {value}.")
    if batch == 0 or batch < -1:
        raise ConfigError(f"batch is a number of rows, or -1 for all, got {batch}.")
    if lamb < 0:
        raise ConfigError(f"lamb cannot be negative, got {lamb}.")


def _rows(model: MultKAN, dataset: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Take a dataset apart, and check it."""
    parts = []
    for side in ("train", "test"):
        try:
            x, y = dataset[f"{side}_input"], dataset[f"{side}_label"]
        except (KeyError, TypeError):
            raise DataError(
                "A dataset has train_input, train_label, test_input and test_label, see "
                "create_dataset."
            ) from None
        if len(x) != len(y) or len(x) < 1:
            raise ShapeError(
                f"{side}_input and {side}_label have the same number of rows, one or more, got "
                f"{len(x)} and {len(y)}."
            )
        x = model.inputs_of(x).double()
        y = y.to(model.device)
        y = y.double() if y.is_floating_point() else y
        for name, values in ((f"{side}_input", x), (f"{side}_label", y)):
            if values.is_floating_point() and not bool(values.isfinite().all()):
                raise DataError(f"{name} holds NaN or infinite values: remove or fill these rows.")
        parts += [x, y]
    return parts[0], parts[1], parts[2], parts[3]


def labels_for(model: MultKAN, prediction: Tensor, y: Tensor) -> Tensor:
    """Bring labels into the shape of predictions, or say that they have another one."""
    if y.ndim == 1 and prediction.shape[1] == 1:
        y = y.unsqueeze(1)
    if y.shape != prediction.shape:
        raise ShapeError(
            f"Labels have the shape (batch, {prediction.shape[1]}) that the network gives, got "
            f"{tuple(y.shape)}."
        )
    return y.to(prediction)


def _rule(work: MultKAN, data: tuple[Tensor, ...], loss_fn: Any) -> objective.Rule:
    """Recognize the loss."""
    x, y = data[:2]
    with torch.no_grad():
        prediction = work.walk(x[:8], full=False)[-1].nodes
    if loss_fn is None or (type(loss_fn) is nn.MSELoss and loss_fn.reduction == "mean"):
        for labels in (y[:8], data[3][:8]):
            labels_for(work, prediction[: len(labels)], labels)
        return objective.Squares()
    plain = type(loss_fn) is nn.CrossEntropyLoss and loss_fn.weight is None
    entropy = loss_fn is nn.functional.cross_entropy or (
        plain and loss_fn.reduction == "mean" and loss_fn.label_smoothing == 0
    )
    if entropy and y.ndim == 1 and not y.is_floating_point():
        if not 0 <= int(y.min()) <= int(y.max()) < prediction.shape[1]:
            raise DataError(
                f"Class labels are from 0 to {prediction.shape[1] - 1}, one for each output, "
                f"got {int(y.min())} to {int(y.max())}."
            )
        return objective.Classes()
    alike = y.shape[:1] + prediction.shape[1:] == y.shape and y.is_floating_point()
    if alike and _is_square(loss_fn, prediction):
        return objective.Squares()
    return objective.Other(loss_fn)


def _is_square(loss_fn: Any, like: Tensor) -> bool:
    """Whether a function is the mean square, on numbers of all sizes."""
    draw = torch.Generator().manual_seed(0)
    try:
        for scale in (1e-3, 1.0, 1e3):
            p, y = (scale * torch.randn(like.shape, generator=draw).to(like) for _ in range(2))
            value = float(loss_fn(p, y))
            if not math.isclose(value, float((p - y).square().mean()), rel_tol=1e-9):
                return False
    except Exception:  # whatever it is, it is no mean square of such labels
        return False
    return True


def _begin(
    work: MultKAN, task: objective.Task, opt: str, lr: float, steps: int, whole: bool, update: bool
) -> tuple[gn.Stepper, int]:
    """Choose the way of stepping, and the start of a new network.

    Args:
        work: The network, which is moved to the start.
        task: The objective.
        opt: "LBFGS" or "Adam".
        lr: The step size.
        steps: How many steps were asked for.
        whole: Whether each step is on all rows.
        update: Whether grids follow from the first step on.

    Returns:
        What takes the steps, and how many are left.
    """
    fresh = work.fresh and steps > _SCOUT
    factored = isinstance(task.rule, objective.Curved) and gn.is_factored(work, task)
    if factored and (opt == "LBFGS" or whole):
        stepper, limit = gn.LevenbergMarquardt(work), steps
        if fresh and whole and math.prod(gn.extent(work, task)) <= _LARGE:
            _scout(work, task, update)
            limit -= _SCOUT  # so many has the best start behind it
        if opt == "Adam":
            limit = min(limit, max(20, math.ceil(steps / 20)))  # a step is one of 20 iterations
        return stepper, limit
    if opt == "Adam":
        return gn.Adam(work, _trained(work), lr), steps
    if fresh and task.lamb > 0:
        # a penalty shuts edges of a new network before the labels had a say, and for good
        if update:
            gn.lay_grids(work, task.x, always=True)
        gn.QuasiNewton(work, _trained(work), lr).step(replace(task, lamb=0.0))
        steps -= 1
    return gn.QuasiNewton(work, _trained(work), lr), steps


def _trained(work: MultKAN) -> list[nn.Parameter]:
    trained = [p for p in work.parameters() if p.requires_grad]
    if not trained:
        raise ConfigError("No parameter of this network is trainable.")
    return trained


def _scout(work: MultKAN, task: objective.Task, update: bool) -> None:
    """Go on from the best of a few starts, if the first one gets stuck."""
    first = gn.snapshot(work)
    if not _best_start(work, task, first, update, _STARTS, _SCOUT) and work.depth > 2:
        # a deep network has more places to get stuck, and a penalty makes them deeper
        free = replace(task, lamb=0.0)
        _best_start(work, free, first, update, 2 * _STARTS, 2 * _SCOUT)


def _best_start(
    work: MultKAN, task: objective.Task, first: list[Tensor], update: bool, starts: int, steps: int
) -> bool:
    """Take some steps from each start and go to the best; whether it explains the labels."""
    assert isinstance(task.rule, objective.Curved)
    scores, spread, good = [], task.rule.spread(task.y), False
    for start in range(starts):
        gn.restore(work, first)
        if start:
            gn.redraw(work, start)
        if update:
            gn.lay_grids(work, task.x, always=True)
        stepper, value = gn.LevenbergMarquardt(work), math.inf
        for _ in range(steps):
            value = stepper.step(task)
        scores.append((value, gn.snapshot(work)))
        with torch.no_grad():
            loss = float(task.loss(work.walk(task.x, *task.guard, full=False)[-1].nodes))
        good = good or loss < 0.01 * spread
        if good:
            break
    gn.restore(work, min(scores, key=lambda pair: pair[0])[1])
    return good


def _batch(task: objective.Task, batch: int, draw: torch.Generator) -> objective.Task:
    rows = len(task.x)
    if batch == -1 or batch >= rows:
        return task
    chosen = torch.randperm(rows, generator=draw)[:batch].to(task.x.device)
    return task.part(chosen)


def _bar(steps: int) -> Any:
    from tqdm import tqdm

    return tqdm(range(steps), ncols=100, disable=None)


@torch.no_grad()
def _note(
    results: dict[str, list[Any]],
    work: MultKAN,
    task: objective.Task,
    data: tuple[Tensor, ...],
    known: tuple[Tensor, Tensor] | None,
) -> None:
    train, charge = task.parts(work) if known is None else known
    x, y = data[2:]
    test = task.rule.loss(work.walk(x, *task.guard, full=False)[-1].nodes, y)
    kind = torch.get_default_dtype()
    results["train_loss"].append(train.sqrt().to(kind).cpu().numpy())
    results["test_loss"].append(test.sqrt().to(kind).cpu().numpy())
    results["reg"].append(charge.to(kind).cpu().numpy())


@torch.no_grad()
def _give(work: MultKAN, model: MultKAN, x: Tensor) -> None:
    """Write what was found into the caller's network."""
    for mine, theirs in zip(model.parameters(), work.parameters(), strict=True):
        mine.data = theirs.data.to(mine.dtype, copy=True)
    model.cache_data = x.to(model.dtype)
    model.forget()
    if model.save_act:
        model.get_act()
