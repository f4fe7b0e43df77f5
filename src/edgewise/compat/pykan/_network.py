"""pykan's network, `KAN` or `MultKAN`: its names, arguments and values on this engine."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._nodes import Nodes
from edgewise.compat.pykan import (
    _attribution,
    _checkpoints,
    _fit,
    _plot,
    _pruning,
    _surgery,
    _symbolic,
)
from edgewise.compat.pykan._layers import KANLayer, Symbolic_KANLayer, base_of, symbolic_mask

METRICS = (
    "edge_forward_spline_n",
    "edge_forward_sum",
    "edge_forward_spline_u",
    "edge_backward",
    "node_backward",
)


_BY_LAYER = (
    "acts_premult",
    "spline_preacts",
    "spline_postacts",
    "spline_postsplines",
    "acts_scale",
    "acts_scale_spline",
    "edge_actscale",
    "subnode_actscale",
)
_OF_ONE_PASS = (
    "node_scores_all",
    "edge_scores_all",
    "subnode_scores_all",
    "node_attribute_scores",
    "symbolic_acts",
    "symbolic_acts_premult",
)


class Pass(NamedTuple):
    """What passed through one layer and its nodes."""

    x: Tensor  # (batch, inputs)
    numeric: Tensor | None  # (batch, subnodes, inputs)
    spline: Tensor | None  # (batch, subnodes, inputs)
    symbolic: Tensor | None  # (batch, subnodes, inputs)
    sums: Tensor  # (batch, subnodes): before the subnodes' scale and bias
    subnodes: Tensor  # (batch, subnodes): after them
    products: Tensor  # (batch, nodes): before the nodes' scale and bias
    nodes: Tensor  # (batch, nodes)


class MultKAN(nn.Module):
    r"""A Kolmogorov–Arnold network with sum and product nodes, with pykan's interface.

    Each edge is a spline with a base function, a function with four constants, or both (arXiv
    2404.19756, eq. 2.10; 2408.10205). The constructor writes no file, prints nothing, and leaves
    torch's, NumPy's and Python's random generators and the caller's `width` as they are.

    Args:
        width: The number of nodes of each layer: numbers, or pairs [sum nodes, product nodes].
        grid: The number of intervals, for all layers or as a list.
        k: The degree of the splines, 1 to 9, for all layers or as a list.
        mult_arity: How many subnodes a product node multiplies: a number, or for each layer a list.
        noise_scale: The size of the first splines, see `KANLayer`.
        scale_base_mu: The middle of the base function's first weights, times the root of inputs.
        scale_base_sigma: Half the width of their interval, times the root of inputs.
        base_fun: "silu", "identity", "zero" or an elementwise torch function.
        symbolic_enabled: Whether functions on edges count.
        affine_trainable: Whether scales and biases of nodes and subnodes are trained.
        grid_eps: 0 lays knots at the quantiles of samples, 1 evenly.
        grid_range: Where grids lie to begin with.
        sp_trainable: Whether the weights of splines are trained.
        sb_trainable: Whether the weights of base functions are trained.
        seed: What the first parameters are drawn from.
        save_act: Whether `forward` keeps activations.
        sparse_init: Connect only the nearest nodes.
        auto_save: Whether the states after each change are kept, for `rewind` and `checkout`.
        first_init: Has no effect: no history is begun on disk.
        ckpt_path: A folder to write states to, in pykan's files. In memory if not given.
        state_id: The number of the present state.
        round: How many times `rewind` was called.
        device: Where the parameters live.

    Attributes:
        act_fun: The layers of splines, see `KANLayer`.
        symbolic_fun: The layers of functions, see `Symbolic_KANLayer`.
        node_scale, node_bias: What a node's value is multiplied with, and then shifted by.
        subnode_scale, subnode_bias: The same for the sums of edges.
        acts: The values of all nodes (batch, nodes), from the inputs to the outputs.
        spline_postacts: The values of all edges (batch, subnodes, inputs).
        edge_scores, node_scores, subnode_scores: What `attribute` found.
        cache_data: The inputs of the last `forward`, or those that the last `fit` used.

    Raises:
        ConfigError: If the arguments make no network.

    Example:
        >>> from edgewise.compat.pykan import KAN
        >>> model = KAN(width=[2, 5, 1], grid=5, k=3, seed=0)
        >>> model(torch.zeros(100, 2)).shape
        torch.Size([100, 1])
    """

    node_scores_all: list[Tensor]
    edge_scores_all: list[Tensor]
    subnode_scores_all: list[Tensor]
    node_attribute_scores: list[Any]
    symbolic_acts: list[list[Any]]
    symbolic_acts_premult: list[list[Any]]

    def __init__(
        self,
        width: Sequence[Any],
        grid: Any = 3,
        k: Any = 3,
        mult_arity: Any = 2,
        noise_scale: float = 0.3,
        scale_base_mu: float = 0.0,
        scale_base_sigma: float = 1.0,
        base_fun: Any = "silu",
        symbolic_enabled: bool = True,
        affine_trainable: bool = False,
        grid_eps: float = 0.02,
        grid_range: Sequence[float] = (-1, 1),
        sp_trainable: bool = True,
        sb_trainable: bool = True,
        seed: int = 1,
        save_act: bool = True,
        sparse_init: bool = False,
        auto_save: bool = True,
        first_init: bool = True,
        ckpt_path: str | None = None,
        state_id: int = 0,
        round: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.width = _widths(width)
        self.depth = len(self.width) - 1
        self.mult_arity = _arities(mult_arity, self.width)
        self.seed = seed
        self.base_fun_name, self.base_fun = base_fun, base_of(base_fun)
        self.grid, self.k = grid, k
        self.grid_eps, self.grid_range = grid_eps, list(grid_range)
        grids, degrees = (_each(n, value, self.depth) for n, value in (("grid", grid), ("k", k)))
        generator = torch.Generator().manual_seed(seed)
        incoming, outgoing = self.width_in, self.width_out
        self.act_fun = nn.ModuleList(
            KANLayer(
                incoming[layer],
                outgoing[layer + 1],
                grids[layer],
                degrees[layer],
                noise_scale,
                scale_base_mu,
                scale_base_sigma,
                1.0,
                self.base_fun,
                grid_eps,
                grid_range,
                sp_trainable,
                sb_trainable,
                sparse_init=sparse_init,
                generator=generator,
            )
            for layer in range(self.depth)
        )
        self.symbolic_fun = nn.ModuleList(
            Symbolic_KANLayer(incoming[layer], outgoing[layer + 1]) for layer in range(self.depth)
        )
        self.affine_trainable = affine_trainable
        nodes, subnodes = incoming[1:], outgoing[1:]
        self.node_bias = _constants(nodes, 0.0, affine_trainable)
        self.node_scale = _constants(nodes, 1.0, affine_trainable)
        self.subnode_bias = _constants(subnodes, 0.0, affine_trainable)
        self.subnode_scale = _constants(subnodes, 1.0, affine_trainable)
        self.symbolic_enabled, self.save_act = symbolic_enabled, save_act
        self.sp_trainable, self.sb_trainable = sp_trainable, sb_trainable
        self.sparse_init = sparse_init
        self.input_id = torch.arange(incoming[0])
        self.input_width = incoming[0]
        self.auto_save, self.ckpt_path = auto_save, ckpt_path
        self.state_id, self.round = state_id, round
        self.versions: list[_checkpoints.Version] = []
        self.fresh = True
        self.forget()
        self.cache_data: Tensor | None = None
        self.register_load_state_dict_pre_hook(_checkpoints.rename)
        self.to(device)
        _checkpoints.begin(self)

    # what it is made of

    @property
    def mult_homo(self) -> bool:
        """Whether all product nodes multiply the same number of subnodes."""
        return isinstance(self.mult_arity, int)

    def arities(self, layer: int) -> list[int]:
        """Give how many subnodes each product node of a layer of nodes multiplies."""
        if isinstance(self.mult_arity, int):
            return [self.mult_arity] * self.width[layer][1]
        return list(self.mult_arity[layer])

    def nodes(self, layer: int) -> Nodes:
        """Give the nodes of a layer of nodes, and which subnodes each of them has."""
        return Nodes(self.width[layer][0], self.arities(layer))

    @property
    def width_in(self) -> list[int]:
        """The number of nodes of each layer."""
        return [sums + products for sums, products in self.width]

    @property
    def width_out(self) -> list[int]:
        """The number of subnodes of each layer."""
        return [pair[0] + sum(self.arities(layer)) for layer, pair in enumerate(self.width)]

    @property
    def n_sum(self) -> list[int]:
        """The number of sum nodes of each hidden layer."""
        return [sums for sums, _ in self.width[1:-1]]

    @property
    def n_mult(self) -> list[int]:
        """The number of product nodes of each hidden layer."""
        return [products for _, products in self.width[1:-1]]

    @property
    def n_edge(self) -> int:
        """The number of edges that are not off: splines, functions, or both."""
        return sum(
            int(((act.mask.T != 0) | symbolic_mask(symbolic)).sum())
            for act, symbolic in self.parts()
        )

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.act_fun[0].coef.device  # type: ignore[union-attr, return-value]

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the parameters."""
        return self.act_fun[0].coef.dtype  # type: ignore[union-attr, return-value]

    def parts(self) -> list[tuple[KANLayer, Symbolic_KANLayer]]:
        """List the layers, numeric and symbolic."""
        return list(zip(self.act_fun, self.symbolic_fun, strict=True))  # type: ignore[arg-type]

    def to(self, *args: Any, **kwargs: Any) -> MultKAN:
        """Move the network, or convert it; what it keeps of the data goes with it."""
        super().to(*args, **kwargs)
        self.forget()
        like = next(self.parameters())
        self.input_id = self.input_id.to(like.device)
        if getattr(self, "cache_data", None) is not None:
            self.cache_data = self.cache_data.to(like)  # type: ignore[union-attr]
        return self

    def forget(self) -> None:
        """Drop all activations and scores."""
        self.acts: list[Tensor] | None = None
        self.acts_premult: list[Tensor] = []
        self.spline_preacts: list[Tensor] = []
        self.spline_postacts: list[Tensor] = []
        self.spline_postsplines: list[Tensor] = []
        self.acts_scale: list[Tensor] = []
        self.acts_scale_spline: list[Tensor] = []
        self.edge_actscale: list[Tensor] = []
        self.subnode_actscale: list[Tensor] = []
        self.node_scores: list[Tensor] | None = None
        self.edge_scores: list[Tensor] | None = None
        self.subnode_scores: list[Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out activations, which may hang on a graph that cannot be copied."""
        state = {name: v for name, v in self.__dict__.items() if name not in _OF_ONE_PASS}
        for name in ("acts", "node_scores", "edge_scores", "subnode_scores"):
            state[name] = None
        for name in _BY_LAYER:
            state[name] = []
        return {**state, "versions": list(self.versions)}

    def __deepcopy__(self, memo: dict[int, Any]) -> MultKAN:
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        state = {**self.__getstate__(), "versions": self.versions}
        shared = {"versions", "cache_data", "base_fun", "base_fun_name"}
        nn.Module.__init__(twin)
        for name, value in state.items():
            twin.__dict__[name] = value if name in shared else copy.deepcopy(value, memo)
        return twin

    # evaluation

    def walk(
        self, x: Tensor, singularity_avoiding: bool = False, y_th: float = 10.0, full: bool = True
    ) -> list[Pass]:
        """Evaluate layer by layer; with `full`, every edge for itself."""
        passes = []
        for layer, (act, symbolic) in enumerate(self.parts()):
            numeric = spline = functions = None
            if full:
                _, _, numeric, spline = act(x)
                sums = numeric.sum(-1)
            else:
                sums = act.sums(x)
            if self.symbolic_enabled:
                added, functions = symbolic(x, singularity_avoiding, y_th)
                sums = sums + added
            subnodes, products, nodes = self.combine(sums, layer)
            passes.append(Pass(x, numeric, spline, functions, sums, subnodes, products, nodes))
            x = nodes
        return passes

    def combine(self, sums: Tensor, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Lead a layer's sums (batch, sums) on: to its subnodes, their products, and its nodes."""
        subnodes = self.subnode_scale[layer] * sums + self.subnode_bias[layer]
        products = self._multiply(subnodes, layer + 1)
        return subnodes, products, self.node_scale[layer] * products + self.node_bias[layer]

    def _multiply(self, subnodes: Tensor, layer: int) -> Tensor:
        arities = self.arities(layer)
        if not arities:
            return subnodes
        sums, *factors = subnodes.split([self.width[layer][0], *arities], 1)
        return torch.cat([sums, *(factor.prod(1, keepdim=True) for factor in factors)], 1)

    def inputs_of(self, x: Any) -> Tensor:
        """Bring inputs into the network's form: its columns, its precision, its device."""
        if isinstance(x, dict):
            x = x["train_input"]
        if not isinstance(x, Tensor) or x.ndim != 2:
            shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(f"Inputs have the shape (batch, inputs), got {shape}.")
        wide, kept = self.input_width, len(self.input_id)
        if x.shape[1] not in (wide, kept):
            alone = "" if kept == wide else f", or the {kept} that were kept alone"
            raise ShapeError(
                f"This network takes inputs of shape (batch, {wide}){alone}, got {tuple(x.shape)}."
            )
        if x.shape[1] == wide and self.input_id.tolist() != list(range(wide)):
            x = x[:, self.input_id.to(x.device)]
        return x.to(device=self.device, dtype=self.dtype)

    def forward(self, x: Tensor, singularity_avoiding: bool = False, y_th: float = 10.0) -> Tensor:
        """Evaluate the network at x (batch, inputs), and keep its activations if `save_act`.

        Args:
            x: Inputs; another precision than the network's is converted.
            singularity_avoiding: Take the twins of functions that stay finite.
            y_th: How large their values may become.

        Raises:
            ShapeError: If x has the wrong shape.
        """
        x = self.inputs_of(x)
        self.cache_data = x.detach()
        passes = self.walk(x, singularity_avoiding, y_th, full=self.save_act)
        if self.save_act:
            self._keep(passes)
        return passes[-1].nodes

    def _keep(self, passes: list[Pass]) -> None:
        scores = self.node_scores, self.edge_scores, self.subnode_scores
        self.forget()
        self.node_scores, self.edge_scores, self.subnode_scores = scores
        self.acts = [passes[0].x.detach(), *(p.nodes.detach() for p in passes)]
        for p in passes:
            assert p.numeric is not None
            assert p.spline is not None
            post = p.numeric if p.symbolic is None else p.numeric + p.symbolic
            spread = deviation(p.x) + 0.1  # (inputs,)
            size = deviation(post)
            self.subnode_actscale.append(deviation(p.sums).detach())
            self.edge_actscale.append(size)
            self.acts_scale.append((size / spread).detach())
            self.acts_scale_spline.append(deviation(p.numeric) / spread)
            self.spline_preacts.append(p.x.detach().unsqueeze(1).expand_as(post))
            self.spline_postacts.append(post.detach())
            self.spline_postsplines.append(p.spline.detach())
            self.acts_premult.append(p.subnodes.detach())

    def get_act(self, x: Any = None) -> None:
        """Evaluate the network at x (or a dataset's rows to fit), and keep its activations.

        Raises:
            DataError: If there is no x, and nothing was evaluated before.
        """
        x = self._data(x)
        before, self.save_act = self.save_act, True
        try:
            self._keep(self.walk(x))
            self.cache_data = x.detach()
        finally:
            self.save_act = before

    def _data(self, x: Any = None) -> Tensor:
        if x is None:
            if self.cache_data is None:
                raise DataError(
                    "Nothing was evaluated yet: give inputs x, or call the model first."
                )
            return self.cache_data
        return self.inputs_of(x)

    def need_acts(self) -> None:
        """Evaluate the network once more if it has no activations."""
        if self.acts is None:
            with torch.no_grad():
                self.get_act()

    # regularization

    def reg(
        self,
        reg_metric: str,
        lamb_l1: float,
        lamb_entropy: float,
        lamb_coef: float,
        lamb_coefdiff: float,
    ) -> Tensor:
        """Give the penalty of the last evaluation: size and entropy of edges, and coefficients."""
        if reg_metric not in METRICS:
            raise ConfigError(f"reg_metric is one of {', '.join(METRICS)}, got {reg_metric!r}.")
        scales: Sequence[Tensor]
        if reg_metric == "edge_forward_spline_n":
            scales = self.acts_scale_spline
        elif reg_metric == "edge_forward_sum":
            scales = self.acts_scale
        elif reg_metric == "edge_forward_spline_u":
            scales = self.edge_actscale
        elif reg_metric == "edge_backward":
            self.attribute()
            scales = self.edge_scores or []
        else:
            self.node_attribute()
            scales = self.node_attribute_scores
        total = penalty(scales, lamb_l1, lamb_entropy)
        return total + coefficients([act.coef for act, _ in self.parts()], lamb_coef, lamb_coefdiff)

    def get_reg(
        self,
        reg_metric: str,
        lamb_l1: float,
        lamb_entropy: float,
        lamb_coef: float,
        lamb_coefdiff: float,
    ) -> Tensor:
        """Give `reg`; a class that inherits may have another."""
        return self.reg(reg_metric, lamb_l1, lamb_entropy, lamb_coef, lamb_coefdiff)

    def get_params(self) -> Any:
        """Give the parameters."""
        return self.parameters()

    def disable_symbolic_in_fit(self, lamb: float) -> tuple[bool, bool]:
        """Switch off what a fit does not need; give `save_act` and `symbolic_enabled` before."""
        before = self.save_act, self.symbolic_enabled
        if lamb == 0:
            self.save_act = False
        if not any(symbolic.active() for _, symbolic in self.parts()):
            self.symbolic_enabled = False
        return before

    def speed(self, compile: bool = False) -> Any:
        """Drop functions on edges, activations and states; with `compile`, compile the network.

        Raises:
            ConfigError: If an edge has a function, whose value would be lost.
        """
        if any(symbolic.active() for _, symbolic in self.parts()):
            raise ConfigError(
                "speed() drops the functions on edges, and this network has some: it would "
                "compute something else. Call unfix_symbolic_all() first, or do without speed()."
            )
        self.symbolic_enabled = self.save_act = self.auto_save = False
        return torch.compile(self) if compile else self

    def evaluate(self, dataset: dict[str, Tensor]) -> dict[str, Any]:
        """Give the root of the mean square error on the rows to test, and the network's size."""
        with torch.no_grad():
            x, y = dataset["test_input"], dataset["test_label"]
            prediction = self.walk(self.inputs_of(x), full=False)[-1].nodes
            error = (prediction - _fit.labels_for(self, prediction, y)).square().mean().sqrt()
        return {"test_loss": error.item(), "n_edge": self.n_edge, "n_grid": self.grid}

    def get_range(
        self, l: int, i: int, j: int, verbose: bool = True
    ) -> tuple[float, float, float, float]:
        """Give the range of what comes into an edge and of what goes out."""
        x, y = self.edge_values(l, i, j)
        ends = float(x.min()), float(x.max()), float(y.min()), float(y.max())
        if verbose:
            print(f"x range: [{ends[0]:.2f}, {ends[1]:.2f}]")
            print(f"y range: [{ends[2]:.2f}, {ends[3]:.2f}]")
        return ends

    def edge_values(self, l: int, i: int, j: int) -> tuple[Tensor, Tensor]:
        """Give what came into an edge and what went out, (batch,) each."""
        self.check_edge(l, i, j)
        self.need_acts()
        assert self.acts is not None
        return self.acts[l][:, i], self.spline_postacts[l][:, j, i]

    def check_edge(self, l: int, i: int, j: int) -> None:
        """Refuse an edge that is not there."""
        if 0 <= l < self.depth and 0 <= i < self.width_in[l] and 0 <= j < self.width_out[l + 1]:
            return
        raise ConfigError(
            f"There is no edge ({l}, {i}, {j}): layers are 0 to {self.depth - 1}, with "
            f"{self.width_in[:-1]} inputs and {self.width_out[1:]} outputs."
        )

    def set_mode(
        self,
        l: int,
        i: int,
        j: int,
        mode: str,
        mask_n: float | None = None,
    ) -> None:
        """Let an edge be a function ("s"), a spline ("n"), their sum ("sn" or "ns"), or off."""
        self.check_edge(l, i, j)
        numeric = {"s": 0.0, "n": 1.0, "sn": mask_n, "ns": mask_n}.get(mode, 0.0)
        numeric = 1.0 if numeric is None else numeric
        act, symbolic = self.parts()[l]
        act.mask.data[i, j] = numeric
        symbolic.mask.data[j, i] = float("s" in mode)
        self.acts = None

    # grids

    def update_grid_from_samples(self, x: Tensor) -> None:
        """Lay all grids over what comes through them, in place; functions hardly change."""
        x = self.inputs_of(x)
        with torch.no_grad():
            for layer, (act, _) in enumerate(self.parts()):
                act.update_grid_from_samples(x)
                x = self._one(x, layer)
        self.acts = None

    def update_grid(self, x: Tensor) -> None:
        """Do what `update_grid_from_samples` does; a class that inherits may do another."""
        self.update_grid_from_samples(x)

    def _one(self, x: Tensor, layer: int) -> Tensor:
        """Evaluate one layer and its nodes."""
        act, symbolic = self.parts()[layer]
        sums = act.sums(x)
        if self.symbolic_enabled:
            sums = sums + symbolic(x)[0]
        return self.combine(sums, layer)[-1]

    def initialize_grid_from_another_model(self, model: MultKAN, x: Tensor) -> None:
        """Take the grids of another model, with this one's numbers of intervals, and its splines.

        Raises:
            ConfigError: If the two have different shapes.
        """
        self._same_shape(model)
        with torch.no_grad():
            x = model.inputs_of(x)
            for layer, (act, _) in enumerate(self.parts()):
                act.initialize_grid_from_parent(model.parts()[layer][0], x)
                x = model._one(x, layer)
        self.acts = None

    @torch.no_grad()
    def initialize_from_another_model(self, another_model: MultKAN, x: Tensor) -> MultKAN:
        """Become another model of the same shape, on this one's grids' numbers of intervals."""
        self.initialize_grid_from_another_model(another_model, x)
        for layer, (act, symbolic) in enumerate(another_model.parts()):
            for name in ("scale_base", "scale_sp", "mask"):
                getattr(self.act_fun[layer], name).data = getattr(act, name).data.clone()
            self.parts()[layer][0].smooth = act.smooth
            self.symbolic_fun[layer] = symbolic.get_subset(range(act.in_dim), range(act.out_dim))
        for name in ("node_bias", "node_scale", "subnode_bias", "subnode_scale"):
            for mine, other in zip(getattr(self, name), getattr(another_model, name), strict=True):
                mine.data = other.data.clone()
        self.fresh = another_model.fresh
        return self.to(self.device)

    def _same_shape(self, other: MultKAN) -> None:
        if (self.width, self.width_out) != (other.width, other.width_out):
            raise ConfigError(
                f"The models must have the same shape, got widths {self.width} and {other.width}."
            )

    def refine(self, new_grid: Any) -> MultKAN:
        """Give a copy with another number of intervals that computes the same.

        Knots are laid along the old ones. Where the new grid contains the old knots, as for twice
        the number, no function changes.

        Args:
            new_grid: The number of intervals, for all layers or as a list.
        """
        grids = _each("new_grid", new_grid, self.depth)
        finer = copy.deepcopy(self)
        with torch.no_grad():
            for (act, _), num in zip(finer.parts(), grids, strict=True):
                old = copy.deepcopy(act)
                act.num = num
                act.initialize_grid_from_parent(old, old.grid[:, old.k : -old.k].T, mode="grid")
        finer.grid = new_grid
        finer.log_history("refine")
        return finer

    @classmethod
    def _of(cls, network: Any, grid: int = 5, k: int = 3, auto_save: bool = False) -> MultKAN:
        """Make it of an edgewise network: locks become functions, splines stay splines."""
        return _surgery.of_network(cls, network, grid, k, auto_save)

    # the rest of the verbs

    fit = _fit.fit
    plot = _plot.plot
    get_fun = _plot.get_fun
    tree = _plot.tree

    fix_symbolic = _symbolic.fix_symbolic
    unfix_symbolic = _symbolic.unfix_symbolic
    unfix_symbolic_all = _symbolic.unfix_symbolic_all
    suggest_symbolic = _symbolic.suggest_symbolic
    auto_symbolic = _symbolic.auto_symbolic
    symbolic_formula = _symbolic.symbolic_formula

    attribute = _attribution.attribute
    node_attribute = _attribution.node_attribute
    feature_interaction = _attribution.feature_interaction
    prune = _pruning.prune
    prune_node = _pruning.prune_node
    prune_edge = _pruning.prune_edge
    prune_input = _pruning.prune_input
    remove_edge = _pruning.remove_edge
    remove_node = _pruning.remove_node
    swap = _surgery.swap
    auto_swap = _surgery.auto_swap
    auto_swap_l = _surgery.auto_swap_l
    expand_depth = _surgery.expand_depth
    expand_width = _surgery.expand_width
    perturb = _surgery.perturb
    module = _surgery.module

    @property
    def feature_score(self) -> Tensor:
        """The attribution scores of the inputs."""
        self.attribute()
        assert self.node_scores is not None
        return self.node_scores[0]

    @property
    def connection_cost(self) -> Tensor:
        """The length of all edges as they are drawn, weighted with their scores."""
        return _surgery.connection_cost(self)

    saveckpt = _checkpoints.saveckpt
    loadckpt = staticmethod(_checkpoints.loadckpt)
    copy = _checkpoints.copy_of
    rewind = _checkpoints.rewind
    checkout = _checkpoints.checkout
    history = _checkpoints.history
    log_history = _checkpoints.log_history


KAN = MultKAN


def deviation(x: Tensor) -> Tensor:
    """The standard deviation over the rows; 0 with a gradient where a column is constant."""
    if len(x) < 2:
        return torch.zeros_like(x[0]) if len(x) else x.new_zeros(x.shape[1:])
    variance = (x - x.mean(0)).square().sum(0) / (len(x) - 1)  # faster than var
    zero = variance <= 0
    return torch.where(zero, variance, torch.where(zero, 1.0, variance).sqrt())


def penalty(scales: Sequence[Tensor], lamb_l1: float, lamb_entropy: float) -> Tensor:
    """The size of edges and the entropy of their shares at each node (2404.19756, section 2.5.1).

    Args:
        scales: For each layer the sizes of edges (outputs, inputs), or of nodes.
        lamb_l1: The weight of the sum of sizes.
        lamb_entropy: The weight of entropies, in bits.
    """
    total = torch.zeros(())
    for size in scales:
        total = total.to(size) + lamb_l1 * size.sum()
        for side in reversed(range(size.ndim)):
            share = size / (size.sum(side, keepdim=True) + 1)
            entropy = -(share * torch.log2(share + 1e-4)).sum(side).mean()
            total = total + lamb_entropy * entropy
    return total


def coefficients(coefs: Sequence[Tensor], lamb_coef: float, lamb_coefdiff: float) -> Tensor:
    """The size of coefficients (inputs, outputs, basis), and of the steps between neighbors."""
    total = torch.zeros(())
    for coef in coefs:
        total = total.to(coef)
        if lamb_coef:
            total = total + lamb_coef * coef.abs().mean(1).sum()
        if lamb_coefdiff:
            total = total + lamb_coefdiff * coef.diff(dim=-1).abs().mean(1).sum()
    return total


def _widths(width: Any) -> list[list[int]]:
    """Read widths into pairs of their own."""
    pairs = []
    for item in width if isinstance(width, Sequence) else ():
        pair = [item, 0] if isinstance(item, Integral) else list(item)
        if len(pair) != 2 or not all(isinstance(n, Integral) and int(n) >= 0 for n in pair):
            break
        pairs.append([int(n) for n in pair])
    if not isinstance(width, Sequence) or len(pairs) != len(width) or len(pairs) < 2:
        raise ConfigError(
            "width is a list of two or more numbers of nodes, or pairs [sums, products] of them, "
            f"got {width!r}."
        )
    if any(sum(pair) < 1 for pair in pairs) or pairs[0][1]:
        raise ConfigError(f"Each layer has a node, and inputs are no products, got {width!r}.")
    return pairs


def _arities(mult_arity: Any, width: list[list[int]]) -> Any:
    if isinstance(mult_arity, Integral):
        if mult_arity < 2 and any(products for _, products in width):
            raise ConfigError(f"A product has two factors or more, got mult_arity={mult_arity}.")
        return int(mult_arity)
    lists = [[int(n) for n in each] for each in mult_arity]
    if [len(each) for each in lists] != [products for _, products in width]:
        raise ConfigError(
            "mult_arity is a number, or for each layer a list with a number for each product node. "
            f"Got {mult_arity!r} for width {width!r}."
        )
    if any(n < 1 for each in lists for n in each):
        raise ConfigError(f"A product has at least one factor, got {mult_arity!r}.")
    return lists


def _each(name: str, value: Any, depth: int) -> list[int]:
    """Give one number for each layer."""
    values = list(value) if isinstance(value, Sequence) else [value] * depth
    if len(values) != depth or not all(isinstance(n, Integral) and int(n) >= 1 for n in values):
        raise ConfigError(
            f"{name} is a whole number from 1 on, or a list of {depth} of them, got {value!r}."
        )
    return [int(n) for n in values]


def _constants(sizes: Sequence[int], value: float, trainable: bool) -> nn.ParameterList:
    return nn.ParameterList(
        nn.Parameter(torch.full((size,), value), requires_grad=trainable) for size in sizes
    )
