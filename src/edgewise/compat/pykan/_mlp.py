"""pykan's `kan.MLP`: the multilayer perceptron that KANs are compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from tqdm import tqdm

from edgewise._errors import ConfigError
from edgewise._nodes import Nodes
from edgewise._types import Edge
from edgewise.compat.pykan import _plot
from edgewise.compat.pykan._layers import exchanged
from edgewise.compat.pykan._lbfgs import LBFGS
from edgewise.compat.pykan._network import deviation, penalty
from edgewise.compat.pykan._surgery import check_hidden, length, shortening
from edgewise.plot._diagram import strongest
from edgewise.plot._layout import Row

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
METRICS = ("w", "act", "fa", "a")
_RESULTS = ("train_loss", "test_loss", "reg")


class MLP(nn.Module):
    """A multilayer perceptron with pykan's ways to fit, read and draw it.

    Args:
        width: The numbers of nodes, from the inputs to the outputs.
        act: The activation: "silu", "relu", "gelu", "tanh", "sigmoid", "identity", or a module.
            (pykan takes SiLU whatever is asked for.)
        save_act: Whether a forward pass keeps the activations, which attribution needs.
        seed: What the weights are drawn from; torch's own generator stays as it is.
        device: Where the parameters live.

    Raises:
        ConfigError: If there are fewer than two widths, or the activation is unknown.

    Example:
        >>> from edgewise.compat.pykan import MLP
        >>> model = MLP([2, 5, 1], seed=0)
        >>> model(torch.rand(10, 2)).shape
        torch.Size([10, 1])
    """

    def __init__(
        self,
        width: Sequence[int],
        act: str | nn.Module = "silu",
        save_act: bool = True,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if len(width) < 2:
            raise ConfigError(f"An MLP has at least two widths, got {list(width)}.")
        if isinstance(act, str) and act not in ACTIVATIONS:
            raise ConfigError(f"act is one of {', '.join(ACTIVATIONS)} or a module, got {act!r}.")
        self.width, self.depth = list(width), len(width) - 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            pairs = zip(self.width[:-1], self.width[1:], strict=True)
            layers = [nn.Linear(n, m) for n, m in pairs]
        self.linears = nn.ModuleList(layers)
        self.act_fun = ACTIVATIONS[act]() if isinstance(act, str) else act
        self.save_act = save_act
        self.cache_data: Tensor | None = None
        self.acts: list[Tensor] = []
        self.acts_scale: list[Tensor] = []
        self.wa_forward: list[Tensor] = []
        self.node_scores: list[Tensor] = []
        self.edge_scores: list[Tensor] = []
        self.device = torch.device(device)
        self.to(device)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move and cast as every module."""
        super().to(*args, **kwargs)
        self.device = self.w[0].device
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what passes have left, which may hang on a graph that cannot be copied."""
        kept = ("acts", "acts_scale", "wa_forward", "node_scores", "edge_scores")
        return {**self.__dict__, "cache_data": None, **{name: [] for name in kept}}

    def copy(self) -> MLP:
        """Give a copy that shares nothing, without what the last forward pass kept."""
        return copy.deepcopy(self)

    @property
    def w(self) -> list[Tensor]:
        """The weights of each layer (outputs, inputs)."""
        return [layer.weight for layer in self._layers()]

    def _layers(self) -> list[nn.Linear]:
        return [layer for layer in self.linears if isinstance(layer, nn.Linear)]

    @property
    def wa_backward(self) -> list[Tensor]:
        """The scores of the edges (outputs, inputs), after `attribute`."""
        return self.edge_scores

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate inputs (batch, inputs); with `save_act` keep what attribution needs."""
        self.cache_data = x
        self.acts, self.acts_scale, self.wa_forward = [], [], []
        for depth, layer in enumerate(self._layers()):
            if self.save_act:
                scale = deviation(x)
                self.acts.append(x)
                self.acts_scale += [scale] if depth else []
                self.wa_forward.append(scale * layer.weight)
            x = layer(x)
            x = self.act_fun(x) if depth < self.depth - 1 else x
        if self.save_act:
            self.acts_scale.append(deviation(x))
        return x

    def get_act(self, x: Tensor | dict[str, Tensor] | None = None) -> None:
        """Keep the activations of these inputs, of a dataset, or of the last forward pass."""
        before, self.save_act = self.save_act, True
        try:
            self.forward(self._data(x))
        finally:
            self.save_act = before

    def _data(self, x: Tensor | dict[str, Tensor] | None = None) -> Tensor:
        x = x["train_input"] if isinstance(x, dict) else x
        x = self.cache_data if x is None else x
        if x is None:
            raise ConfigError("The model has not seen any inputs yet: give it some.")
        return x

    def attribute(self) -> None:
        """Score nodes and edges backwards from the outputs: `node_scores`, `edge_scores`.

        An edge has the share of its source's spread in its target's, times the target's score.
        """
        if not self.acts:
            self.get_act()
        score = torch.ones(self.width[-1], dtype=self.w[0].dtype, device=self.device)
        nodes, edges = [score], []
        for depth in range(self.depth, 0, -1):
            share = self.wa_forward[depth - 1].abs() / (self.acts_scale[depth - 1] + 1e-4)[:, None]
            edges.append(share * score[:, None])
            score = edges[-1].sum(0) / self.width[depth - 1] ** 0.5
            nodes.append(score)
        self.node_scores, self.edge_scores = nodes[::-1], edges[::-1]

    def reg(self, reg_metric: str, lamb_l1: float, lamb_entropy: float) -> Tensor:
        """Give the penalty: absolute values and entropy of weights, of activations or of scores.

        Args:
            reg_metric: "w", weights; "act", weights times spread; "fa", scores of the edges; "a",
                spreads of the nodes.
            lamb_l1: The weight of the sum of absolute values.
            lamb_entropy: The weight of the entropy.

        Raises:
            ConfigError: If the metric is unknown.
        """
        if reg_metric not in METRICS:
            raise ConfigError(f"reg_metric is one of {', '.join(METRICS)}, got {reg_metric!r}.")
        sizes = [part.abs() for part in self._parts(reg_metric)]
        return penalty(sizes, lamb_l1, lamb_entropy)

    def _parts(self, metric: str) -> list[Tensor]:
        """What a metric speaks of, by layer."""
        if metric == "fa":
            self.attribute()
        elif metric != "w" and not self.acts:
            self.get_act()
        parts = {"w": self.w, "act": self.wa_forward, "fa": self.edge_scores, "a": self.acts_scale}
        return parts[metric]

    get_reg = reg

    def fit(
        self,
        dataset: dict[str, Tensor],
        opt: str = "LBFGS",
        steps: int = 100,
        log: int = 1,
        lamb: float = 0.0,
        lamb_l1: float = 1.0,
        lamb_entropy: float = 2.0,
        loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
        lr: float = 1.0,
        batch: int = -1,
        metrics: Sequence[Callable[[], Any]] | None = None,
        in_vars: Any = None,
        out_vars: Any = None,
        beta: float = 3,
        device: torch.device | str = "cpu",
        reg_metric: str = "w",
        display_metrics: Sequence[str] | None = None,
    ) -> dict[str, list[Any]]:
        """Fit to a dataset.

        Args:
            dataset: train_input, train_label, test_input, test_label.
            opt: "LBFGS" or "Adam".
            steps: How many; one of L-BFGS has up to 20 iterations.
            log: Show the losses every so many steps.
            lamb: The weight of the penalty.
            lamb_l1: See `reg`.
            lamb_entropy: See `reg`.
            loss_fn: A function of predictions and labels; the mean square by default.
            lr: The step length.
            batch: How many random rows each step takes; -1 for all.
            metrics: Functions without arguments, recorded after each step under their names.
            in_vars: Not used, as in pykan: an MLP saves no pictures while it is fitted.
            out_vars: Not used.
            beta: Not used.
            device: Not used: the rows go where the model is.
            reg_metric: See `reg`.
            display_metrics: What the progress bar shows.

        Returns:
            Lists over the steps: train_loss and test_loss (the roots of the losses), reg, and the
            metrics.

        Raises:
            ConfigError: If an option is unknown.
        """
        if opt not in ("LBFGS", "Adam"):
            raise ConfigError(f"opt is 'LBFGS' or 'Adam', got {opt!r}.")
        loss_fn = loss_fn or (lambda p, y: (p - y).square().mean())
        data = {name: rows.to(self.device) for name, rows in dataset.items()}
        rows = {part: len(data[f"{part}_input"]) for part in ("train", "test")}
        sizes = {part: n if batch == -1 or batch > n else batch for part, n in rows.items()}
        options: dict[str, Any] = {"lr": lr}
        if opt == "LBFGS":
            options |= {"history_size": 10, "line_search_fn": "strong_wolfe"}
            options |= {"tolerance_grad": 1e-32, "tolerance_change": 1e-32}
        optimizer = (LBFGS if opt == "LBFGS" else torch.optim.Adam)(self.parameters(), **options)
        names = [metric.__name__ for metric in metrics or ()]
        results: dict[str, list[Any]] = {name: [] for name in (*_RESULTS, *names)}
        unknown = [name for name in display_metrics or () if name not in results]
        if unknown:
            raise ConfigError(f"display_metrics are of {', '.join(results)}, got {unknown}.")
        saves, self.save_act = self.save_act, lamb != 0.0 and reg_metric != "w"
        try:
            bar = tqdm(range(steps), desc="description", ncols=100)
            for step in bar:
                ids = {part: _draw(rows[part], size) for part, size in sizes.items()}
                seen: dict[str, Tensor] = {}

                def closure(ids: Any = ids, seen: Any = seen) -> Tensor:
                    optimizer.zero_grad()
                    prediction = self(data["train_input"][ids["train"]])
                    seen["loss"] = loss_fn(prediction, data["train_label"][ids["train"]])
                    seen["reg"] = prediction.new_zeros(())
                    if lamb != 0.0:
                        seen["reg"] = self.reg(reg_metric, lamb_l1, lamb_entropy)
                    total = seen["loss"] + lamb * seen["reg"]
                    total.backward()
                    return total

                optimizer.step(closure)
                with torch.no_grad():
                    prediction = self(data["test_input"][ids["test"]])
                    test = loss_fn(prediction, data["test_label"][ids["test"]])
                for metric, name in zip(metrics or (), names, strict=True):
                    with torch.no_grad():
                        results[name].append(torch.as_tensor(metric()).item())
                results["train_loss"].append(seen["loss"].detach().sqrt().cpu().numpy())
                results["test_loss"].append(test.sqrt().cpu().numpy())
                results["reg"].append(seen["reg"].detach().cpu().numpy())
                if step % log == 0:
                    shown = display_metrics or _RESULTS
                    bar.set_description(
                        " | ".join(f"{n}: {float(results[n][-1]):.2e}" for n in shown)
                    )
        finally:
            self.save_act = saves
        with torch.no_grad():
            self(data["train_input"])  # attribution speaks of the rows that were fitted
        return results

    @property
    def connection_cost(self) -> Tensor:
        """The length of the drawn edges, each times its absolute weight."""
        return length([weight.detach().abs() for weight in self.w])

    def swap(self, l: int, i1: int, i2: int) -> None:
        """Exchange two nodes of a hidden layer; the function stays the same.

        Args:
            l: The layer, from 1 to depth - 1.
            i1: A node.
            i2: Another.

        Raises:
            ConfigError: If there are no such nodes, or the layer is no hidden one.
        """
        check_hidden(l, self.depth)
        order = exchanged(self.width[l], i1, i2)
        before, after = self._layers()[l - 1 : l + 1]
        before.weight.data, before.bias.data = before.weight.data[order], before.bias.data[order]
        after.weight.data = after.weight.data[:, order]
        if self.cache_data is not None and self.acts:
            self.get_act()

    def auto_swap_l(self, l: int) -> None:
        """Exchange nodes of one hidden layer as long as that shortens the edges."""
        check_hidden(l, self.depth)
        before, after = self.w[l - 1 : l + 1]
        for i, j in shortening(before.abs(), after.abs(), self.width[l]):
            self.swap(l, i, j)

    def auto_swap(self) -> None:
        """Exchange nodes of all hidden layers as long as that shortens the edges."""
        for depth in range(1, self.depth):
            self.auto_swap_l(depth)

    def plot(self, beta: float = 3, scale: float = 1.0, metric: str = "w") -> Any:
        """Draw the network: blue edges are positive, red ones negative.

        Args:
            beta: How fast edges become opaque with their size.
            scale: The size of the picture.
            metric: "w", weights; "act", weights times spread; "fa", scores.

        Returns:
            The matplotlib figure.

        Raises:
            ConfigError: If the metric is unknown.
        """
        if metric not in ("w", "act", "fa"):
            raise ConfigError(f"metric is one of w, act, fa, got {metric!r}.")
        rows = []
        for depth, part in enumerate(self._parts(metric)):
            signed = {
                Edge(depth, i, o): value
                for o, row in enumerate(part.tolist())
                for i, value in enumerate(row)
            }
            sizes = {e: abs(value) for e, value in signed.items()}
            colors = {e: "blue" if value > 0 else "red" for e, value in signed.items()}
            rows.append(Row(Nodes(self.width[depth + 1]), sizes, colors=colors))
        shown = [_plot.opacities(strongest(row.scores, 0.0), beta) for row in rows]
        return _plot.draw_network(self.width[0], rows, shown, scale=scale)

    tree = _plot.tree


def _draw(rows: int, size: int) -> Tensor | slice:
    """All rows, or some of them at random."""
    return slice(None) if size == rows else torch.randperm(rows)[:size]
