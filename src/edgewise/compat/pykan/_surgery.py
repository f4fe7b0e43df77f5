"""Scores of nodes and edges, and what changes a network's shape."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from edgewise._errors import ConfigError
from edgewise.compat.pykan._layers import (
    KANLayer,
    Symbolic_KANLayer,
    exchanged,
    indices,
)

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN


# scores


class Scores(NamedTuple):
    """Scores for each output k, by layer from the inputs on."""

    nodes: list[Tensor]  # (k, nodes)
    subnodes: list[Tensor]  # (k, subnodes)
    edges: list[Tensor]  # (k, subnodes, inputs)


def backward_scores(
    model: MultKAN, sizes: list[Tensor], sums: list[Tensor], out_score: Tensor | None = None
) -> Scores:
    """Carry scores from the nodes of a layer back (arXiv 2408.10205, section 4.1).

    A sum hands its score to its edges by their standard deviations, over its own.

    Args:
        model: The network.
        sizes: The standard deviations of the edges of the layers before (subnodes, inputs).
        sums: Those of the sums (subnodes,).
        out_score: The scores to begin with; one for each node, every node for itself.
    """
    depth = len(sizes)
    count = model.width_in[depth]
    like = sizes[-1]
    start = torch.ones(count).to(like) if out_score is None else out_score.to(like)
    nodes, subnodes, edges = [torch.diag(start)], [], []
    for layer in range(depth, 0, -1):
        score = nodes[-1].index_select(1, owners(model, layer).to(like.device))
        spread = sums[layer - 1]
        share = torch.where(spread > 0, score / spread.clamp_min(1e-300), 0.0)
        subnodes.append(score)
        edges.append(share.unsqueeze(-1) * sizes[layer - 1])
        nodes.append(edges[-1].sum(1))
    return Scores(nodes[::-1], subnodes[::-1], edges[::-1])


def owners(model: MultKAN, layer: int) -> Tensor:
    """Tell to which node each subnode of a layer of nodes belongs."""
    sums = model.width[layer][0]
    counts = [1] * sums + model.arities(layer)
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def attribute(
    self: MultKAN,
    l: int | None = None,
    i: int | None = None,
    out_score: Tensor | None = None,
    plot: bool = True,
) -> Tensor | None:
    """Score inputs, nodes and edges by how much of the outputs comes through them.

    Args:
        l: A layer of nodes, whose nodes are scored by the inputs; the outputs if not given.
        i: One node of it.
        out_score: The weights of the outputs (or of layer l's nodes).
        plot: With `i`, draw a bar for each input.

    Returns:
        None without `l`: the scores are in `node_scores`, `subnode_scores` and `edge_scores`, means
        over the outputs, and for each output in those with `_all`. With `l`, the scores of the
        inputs for each node (nodes, inputs), or with `i` for one (inputs,).
    """
    self.need_acts()
    if l is None:
        scores = backward_scores(self, self.edge_actscale, self.subnode_actscale, out_score)
        self.node_scores_all = scores.nodes
        self.subnode_scores_all, self.edge_scores_all = scores.subnodes, scores.edges
        self.node_scores = [score.mean(0) for score in scores.nodes]
        self.subnode_scores = [score.mean(0) for score in scores.subnodes]
        self.edge_scores = [score.mean(0) for score in scores.edges]
        return None
    if not 1 <= l <= self.depth:
        raise ConfigError(f"Layers of nodes are 1 to {self.depth}, got l={l}.")
    if out_score is None:
        attribute(self)
        assert self.node_scores is not None
        out_score = self.node_scores[l]
    found = backward_scores(self, self.edge_actscale[:l], self.subnode_actscale[:l], out_score)
    if i is None:
        return found.nodes[0]
    if not 0 <= i < self.width_in[l]:
        raise ConfigError(f"Nodes of layer {l} are 0 to {self.width_in[l] - 1}, got i={i}.")
    if plot:
        from edgewise.compat.pykan._plot import bars

        bars(found.nodes[0][i])
    return found.nodes[0][i]


def node_attribute(self: MultKAN) -> None:
    """Score the inputs for the nodes of each layer, into `node_attribute_scores`."""
    self.node_attribute_scores = [attribute(self, l) for l in range(1, self.depth + 1)]


def feature_interaction(
    self: MultKAN,
    l: int,
    neuron_th: float = 1e-2,
    feature_th: float = 1e-2,
) -> dict[tuple[int, ...], int]:
    """Count the sets of inputs that nodes of a layer depend on.

    Args:
        l: The layer of nodes.
        neuron_th: Nodes whose largest score is not above it do not count.
        feature_th: The share of a node's largest score above which an input counts.
    """
    found: dict[tuple[int, ...], int] = {}
    scores = attribute(self, l)
    assert scores is not None
    for score in scores:
        if float(score.max()) > neuron_th:
            inputs = tuple((score > score.max() * feature_th).nonzero()[:, 0].tolist())
            found[inputs] = found.get(inputs, 0) + 1
    return found


def _scored(model: MultKAN) -> MultKAN:
    model.need_acts()
    attribute(model)
    return model


# taking away


def prune_node(
    self: MultKAN,
    threshold: float = 1e-2,
    mode: str = "auto",
    active_neurons_id: Sequence[Sequence[int]] | None = None,
    log_history: bool = True,
) -> MultKAN:
    """Give a copy without the hidden nodes whose scores are not above a threshold.

    Args:
        threshold: The threshold.
        mode: "auto", or "manual" to keep the nodes given.
        active_neurons_id: For each hidden layer the nodes to keep.
        log_history: Whether to keep the state.

    Raises:
        ConfigError: If a layer would lose all of its nodes.
    """
    if active_neurons_id is not None:
        mode = "manual"
    if mode not in ("auto", "manual") or (mode == "manual" and active_neurons_id is None):
        raise ConfigError(f"mode is 'auto', or 'manual' with active_neurons_id, got {mode!r}.")
    keep = []
    for layer in range(1, self.depth):
        if active_neurons_id is not None:
            keep.append(indices(sorted(active_neurons_id[layer - 1]), self.width_in[layer]))
        else:
            scores = _scored(self).node_scores
            assert scores is not None
            keep.append((scores[layer] > threshold).nonzero()[:, 0].cpu())
        if len(keep[-1]) == 0:
            raise ConfigError(
                f"No node of layer {layer} has a score above {threshold}: nothing would be left of "
                "the network. Choose a smaller threshold, or train it first."
            )
    smaller = _with_nodes(self, keep)
    if log_history:
        smaller.log_history("prune_node")
    return smaller


def _with_nodes(model: MultKAN, keep: list[Tensor]) -> MultKAN:
    """Copy a network with these nodes of its hidden layers, in this order."""
    smaller = copy.deepcopy(model)
    smaller.forget()
    nodes = [torch.arange(model.width_in[0]), *keep, torch.arange(model.width_in[-1])]
    width, arities = [list(model.width[0])], [model.arities(0)]
    for layer in range(1, model.depth + 1):
        kept, sums = nodes[layer], model.width[layer][0]
        products = [n - sums for n in kept.tolist() if n >= sums]
        width.append([len(kept) - len(products), len(products)])
        arities.append([model.arities(layer)[n] for n in products])
        owner = owners(model, layer)
        # a node's subnodes stand together, in the order of the nodes
        subnodes = torch.cat([(owner == n).nonzero()[:, 0] for n in kept])
        act, symbolic = model.parts()[layer - 1]
        before = nodes[layer - 1]
        smaller.act_fun[layer - 1] = act.get_subset(before, subnodes)
        smaller.symbolic_fun[layer - 1] = symbolic.get_subset(before, subnodes)
        for name, chosen in (("node", kept), ("subnode", subnodes)):
            for kind in ("bias", "scale"):
                parameter = getattr(smaller, f"{name}_{kind}")[layer - 1]
                parameter.data = parameter.data[chosen.to(parameter.device)]
    smaller.width = width
    if not model.mult_homo:
        smaller.mult_arity = arities
    return smaller.to(model.device)


def prune_edge(self: MultKAN, threshold: float = 3e-2, log_history: bool = True) -> None:
    """Switch edges off, in place, whose scores are not above a threshold: splines and functions."""
    edges = _scored(self).edge_scores
    assert edges is not None
    for (act, symbolic), score in zip(self.parts(), edges, strict=True):
        alive = (score > threshold).to(act.mask)
        act.mask.data = act.mask.data * alive.T
        symbolic.mask.data = symbolic.mask.data * alive
    self.acts = None
    if log_history:
        self.log_history("prune_edge")


def prune(self: MultKAN, node_th: float = 1e-2, edge_th: float = 3e-2) -> MultKAN:
    """Give a copy without the nodes and edges whose scores are not above the thresholds."""
    smaller = prune_node(self, node_th, log_history=False)
    prune_edge(smaller, edge_th, log_history=False)
    smaller.need_acts()
    smaller.log_history("prune")
    return smaller


def prune_input(
    self: MultKAN,
    threshold: float = 1e-2,
    active_inputs: Sequence[int] | None = None,
    log_history: bool = True,
) -> MultKAN:
    """Give a copy without the inputs whose scores are not above a threshold.

    The copy takes the same x as before and picks its columns, `input_id`.

    Args:
        threshold: The threshold.
        active_inputs: The inputs to keep, whatever their scores.
        log_history: Whether to keep the state.
    """
    if active_inputs is None:
        kept = (self.feature_score > threshold).nonzero()[:, 0].cpu()
    else:
        kept = indices(active_inputs, self.width_in[0])
    if len(kept) == 0:
        raise ConfigError(f"No input has a score above {threshold}: choose a smaller threshold.")
    smaller = copy.deepcopy(self)
    act, symbolic = self.parts()[0]
    everything = torch.arange(self.width_out[1])
    smaller.act_fun[0] = act.get_subset(kept, everything)
    smaller.symbolic_fun[0] = symbolic.get_subset(kept, everything)
    smaller.width = [[len(kept), 0], *self.width[1:]]
    smaller.input_id = self.input_id[kept.to(self.input_id.device)]
    if self.cache_data is not None:
        smaller.cache_data = self.cache_data[:, kept.to(self.cache_data.device)]
    smaller.to(self.device)
    if log_history:
        smaller.log_history("prune_input")
    return smaller


def remove_edge(
    self: MultKAN,
    l: int,
    i: int,
    j: int,
    log_history: bool = True,
) -> None:
    """Switch an edge off, in place, spline and function."""
    self.check_edge(l, i, j)
    act, symbolic = self.parts()[l]
    act.mask.data[i, j] = symbolic.mask.data[j, i] = 0.0
    self.acts = None
    if log_history:
        self.log_history("remove_edge")


def remove_node(
    self: MultKAN,
    l: int,
    i: int,
    mode: str = "all",
    log_history: bool = True,
) -> None:
    """Switch off, in place, all edges that enter a node ("down"), leave it ("up"), or both ("all").

    With "down", i is a subnode.
    """
    if mode not in ("all", "up", "down"):
        raise ConfigError(f"mode is 'all', 'up' or 'down', got {mode!r}.")
    count = self.width_out[l] if mode == "down" else self.width_in[l]
    if not 0 <= l <= self.depth or not 0 <= i < count:
        raise ConfigError(f"There is no node ({l}, {i}).")
    if mode in ("all", "down") and l > 0:
        subnodes = [i] if mode == "down" else (owners(self, l) == i).nonzero()[:, 0].tolist()
        act, symbolic = self.parts()[l - 1]
        act.mask.data[:, subnodes] = 0.0
        symbolic.mask.data[subnodes] = 0.0
    if mode in ("all", "up") and l < self.depth:
        act, symbolic = self.parts()[l]
        act.mask.data[i] = 0.0
        symbolic.mask.data[:, i] = 0.0
    self.acts = None
    if log_history:
        self.log_history("remove_node")


# order


def swap(self: MultKAN, l: int, i1: int, i2: int, log_history: bool = True) -> None:
    """Exchange two nodes of a hidden layer, in place; the network computes the same.

    Raises:
        ConfigError: If there are no such nodes, or one sums and the other multiplies.
    """
    if not 1 <= l < self.depth:
        raise ConfigError(f"Hidden layers are 1 to {self.depth - 1}, got l={l}.")
    i1, i2 = int(i1), int(i2)
    order = exchanged(self.width_in[l], i1, i2)
    sums = self.width[l][0]
    if (i1 < sums) != (i2 < sums):
        raise ConfigError(f"Node {i1} and node {i2} of layer {l} are not of one kind.")
    changed = _with_nodes(
        self,
        [
            order if layer == l else torch.arange(self.width_in[layer])
            for layer in range(1, self.depth)
        ],
    )
    self.act_fun, self.symbolic_fun = changed.act_fun, changed.symbolic_fun
    self.mult_arity = changed.mult_arity
    for name in ("node_bias", "node_scale", "subnode_bias", "subnode_scale"):
        getattr(self, name)[l - 1].data = getattr(changed, name)[l - 1].data
    self.forget()
    if log_history:
        self.log_history("swap")


def connection_cost(model: MultKAN) -> Tensor:
    """The length of all edges as they are drawn, weighted with their scores."""
    if model.edge_scores is None:
        attribute(model)
    assert model.edge_scores is not None
    return _cost(model.edge_scores)


def _cost(edges: Sequence[Tensor]) -> Tensor:
    total = torch.zeros(())
    for score in edges:
        out, inside = ((torch.arange(n) + 0.5) / n for n in score.shape)
        total = total.to(score) + ((out[:, None] - inside).abs().to(score) * score).sum()
    return total


def auto_swap_l(self: MultKAN, l: int) -> None:
    """Exchange nodes of a hidden layer, in place, as long as that shortens the connections."""
    edges = _scored(self).edge_scores
    assert edges is not None
    before, after = edges[l - 1].detach().clone(), edges[l].detach().clone()
    sums, owner = self.width[l][0], owners(self, l)
    changed = False
    for i in range(self.width_in[l]):
        kind = range(sums) if i < sums else range(sums, self.width_in[l])
        costs = {}
        for j in kind:
            order = exchanged(self.width_in[l], i, j)
            rows = torch.cat([(owner == n).nonzero()[:, 0] for n in order])
            costs[j] = float(_cost([before[rows], after[:, order]]))
        j = min(costs, key=lambda j: (costs[j], j != i))
        if j != i:
            order = exchanged(self.width_in[l], i, j)
            rows = torch.cat([(owner == n).nonzero()[:, 0] for n in order])
            before, after, changed = before[rows], after[:, order], True
            swap(self, l, i, j, log_history=False)
            owner = owners(self, l)
    if changed:
        self.forget()


def auto_swap(self: MultKAN) -> None:
    """Exchange nodes, in place, as long as that shortens the connections."""
    for layer in range(1, self.depth):
        auto_swap_l(self, layer)
    attribute(self)
    self.log_history("auto_swap")


# growing


def expand_depth(self: MultKAN) -> None:
    """Add a layer that computes the identity, in place."""
    n = self.width_in[-1]
    last = self.parts()[-1][0]
    act = _like(last, n, n)
    act.mask.data.zero_()
    symbolic = Symbolic_KANLayer(n, n)
    for i in range(n):
        symbolic.fix_symbolic(i, i, "x")
        symbolic.mask.data[i, i] = 1.0
    self.act_fun.append(act)
    self.symbolic_fun.append(symbolic)
    for name, value in (("bias", 0.0), ("scale", 1.0)):
        for kind in ("node", "subnode"):
            new = nn.Parameter(torch.full((n,), value), requires_grad=self.affine_trainable)
            getattr(self, f"{kind}_{name}").append(new)
    self.width = [*self.width, [n, 0]]
    if not self.mult_homo:
        self.mult_arity = [*self.mult_arity, []]
    for name in ("grid", "k"):
        value = getattr(self, name)
        if isinstance(value, Sequence):
            setattr(self, name, [*value, value[-1]])
    self.depth += 1
    nn.Module.to(self, device=last.coef.device, dtype=last.coef.dtype)
    self.forget()
    self.log_history("expand_depth")


def _like(act: KANLayer, in_dim: int, out_dim: int) -> KANLayer:
    """Make a layer of another size; everything else as in this one."""
    return KANLayer(
        in_dim,
        out_dim,
        act.num,
        act.k,
        base_fun=act.base_fun,
        grid_eps=act.grid_eps,
        sp_trainable=act.scale_sp.requires_grad,
        sb_trainable=act.scale_base.requires_grad,
        generator=torch.Generator().manual_seed(in_dim + 31 * out_dim),
    ).to(act.coef)


def expand_width(
    self: MultKAN,
    layer_id: int,
    n_added_nodes: int,
    sum_bool: bool = True,
    mult_arity: int | Sequence[int] = 2,
) -> None:
    """Add nodes to a layer, in place, that are not connected yet; the network computes the same.

    As in pykan, sums (and inputs, layer 0) come before the nodes that are there, products after
    them. Splines that are there stay.

    Args:
        layer_id: The layer of nodes, from 0, the inputs, to the last hidden one.
        n_added_nodes: How many.
        sum_bool: Whether they are sums.
        mult_arity: How many factors each of them has, if they are products.
    """
    if not 0 <= layer_id < self.depth or n_added_nodes < 1 or (layer_id == 0 and not sum_bool):
        raise ConfigError(
            f"expand_width adds one node or more to a layer from 0 to {self.depth - 1}, and to "
            f"layer 0 no products. Got layer {layer_id} and {n_added_nodes} nodes."
        )
    added = [1] * n_added_nodes
    if not sum_bool:
        added = [mult_arity] * n_added_nodes if isinstance(mult_arity, int) else list(mult_arity)
        if len(added) != n_added_nodes or min(added) < 1:
            raise ConfigError(
                f"mult_arity is a number, or {n_added_nodes} of them, got {mult_arity!r}."
            )
        if isinstance(self.mult_arity, int) and set(added) != {self.mult_arity}:
            self.mult_arity = [self.arities(layer) for layer in range(self.depth + 1)]
    old = self.width_in[layer_id]
    at = torch.arange(old) + (n_added_nodes if sum_bool else 0)
    if layer_id > 0:
        subnodes = self.width_out[layer_id]
        sub_at = torch.arange(subnodes) + (n_added_nodes if sum_bool else 0)
        _enlarge(self, layer_id - 1, None, sub_at, subnodes + sum(added))
        for kind, where, total in (
            ("node", at, old + n_added_nodes),
            ("subnode", sub_at, subnodes + sum(added)),
        ):
            for name, value in (("bias", 0.0), ("scale", 1.0)):
                parameter = getattr(self, f"{kind}_{name}")[layer_id - 1]
                data = torch.full((total,), value).to(parameter)
                data[where] = parameter.data
                parameter.data = data
    _enlarge(self, layer_id, at, None, old + n_added_nodes)
    width = [list(pair) for pair in self.width]
    width[layer_id][0 if sum_bool else 1] += n_added_nodes
    self.width = width
    if not sum_bool and not isinstance(self.mult_arity, int):
        arities = [list(each) for each in self.mult_arity]
        arities[layer_id] += added
        self.mult_arity = arities
    if layer_id == 0:
        self.input_id = torch.arange(self.width_in[0])
        self.input_width = self.width_in[0]
        self.cache_data = None
    self.forget()
    self.log_history("expand_width")


def _enlarge(
    model: MultKAN, layer: int, inputs: Tensor | None, outputs: Tensor | None, total: int
) -> None:
    """Put a layer's edges into a larger one; the new edges are off."""
    act, symbolic = model.parts()[layer]
    i = torch.arange(act.in_dim) if inputs is None else inputs
    o = torch.arange(act.out_dim) if outputs is None else outputs
    in_dim = act.in_dim if inputs is None else total
    out_dim = act.out_dim if outputs is None else total
    new = _like(act, in_dim, out_dim)
    new.mask.data.zero_()
    new.grid.data[i] = act.grid.data
    for name in ("coef", "scale_base", "scale_sp", "mask"):
        getattr(new, name).data[i[:, None], o] = getattr(act, name).data
    functions = Symbolic_KANLayer(in_dim, out_dim).to(symbolic.affine)
    for name in ("mask", "affine"):
        getattr(functions, name).data[o[:, None], i] = getattr(symbolic, name).data
    for name in ("funs", "funs_avoid_singularity", "funs_name", "funs_sympy"):
        table, old = getattr(functions, name), getattr(symbolic, name)
        for b, to in enumerate(o.tolist()):
            for a, come in enumerate(i.tolist()):
                table[to][come] = old[b][a]
    model.act_fun[layer], model.symbolic_fun[layer] = new, functions


def perturb(self: MultKAN, mag: float = 1.0, mode: str = "non-intrusive") -> None:
    """Add splines to a network of functions, in place, so that training can change its form.

    Args:
        mag: The mask of the splines.
        mode: "non-intrusive" adds only what leaves the output as it is: edges into nodes that
            nothing enters or leaves, and in the last layer splines of weight 0; "minimal" adds a
            spline to each function; "all" to every edge.
    """
    if mode not in ("non-intrusive", "all", "minimal"):
        raise ConfigError(f"mode is 'non-intrusive', 'all' or 'minimal', got {mode!r}.")
    named = [
        torch.tensor([[name != "0" for name in row] for row in symbolic.funs_name])
        for _, symbolic in self.parts()
    ]
    used = [
        on | (act.mask.data.T != 0).cpu() for on, (act, _) in zip(named, self.parts(), strict=True)
    ]
    for layer, (act, _) in enumerate(self.parts()):
        if mode == "all":
            chosen = torch.ones_like(named[layer])
        elif mode == "minimal":
            chosen = named[layer]
        elif layer < self.depth - 1:
            busy = used[layer + 1].any(0)
            entered = (
                used[layer].any(1).split([1] * self.width[layer + 1][0] + self.arities(layer + 1))
            )
            idle = [
                ~(factors.any() | node).expand_as(factors)
                for factors, node in zip(entered, busy, strict=True)
            ]
            chosen = torch.cat(idle).unsqueeze(1).expand_as(named[layer])
        else:
            fresh = (act.mask.data == 0).cpu()
            act.mask.data[fresh] = 1.0
            act.scale_base.data[fresh] = act.scale_sp.data[fresh] = 0.0
            continue
        act.mask.data[chosen.T] = mag
    self.acts = None
    if self.cache_data is not None:
        self.get_act()
    self.log_history("perturb")


def module(self: MultKAN, start_layer: int, chain: str) -> None:
    """Cut nodes off from all others, in place, so that they form a module.

    Args:
        start_layer: The layer where it begins.
        chain: Nodes, subnodes, nodes, subnodes, and so on, as in "[0,1]->[0]->[0]->[1]".
    """
    try:
        groups = [[int(n) for n in part.strip()[1:-1].split(",")] for part in chain.split("->")]
    except ValueError:
        raise ConfigError(f"chain looks like '[0,1]->[0]->[0]->[1]', got {chain!r}.") from None
    if len(groups) % 2 or start_layer + len(groups) // 2 > self.depth or start_layer < 0:
        raise ConfigError(
            f"A chain has two groups for each layer, up to layer {self.depth - 1}, got {chain!r} "
            f"from layer {start_layer} on."
        )
    for step in range(len(groups) // 2):
        act, symbolic = self.parts()[start_layer + step]
        own = torch.zeros(act.in_dim, dtype=torch.bool)
        mine = torch.zeros(act.out_dim, dtype=torch.bool)
        own[indices(groups[2 * step], act.in_dim)] = True
        mine[indices(groups[2 * step + 1], act.out_dim)] = True
        across = own.unsqueeze(1) != mine  # (inputs, outputs)
        act.mask.data[across] = 0.0
        symbolic.mask.data[across.T] = 0.0
    self.acts = None
    self.log_history("module")


# from the engine's own networks


def of_network(cls: type[MultKAN], network: Any, grid: int, k: int, auto_save: bool) -> MultKAN:
    """Make it of an edgewise network: locks become functions, splines stay splines."""
    from edgewise.compat.pykan._words import SYMBOLIC_LIB, primitive

    arities = [[], *(list(nodes.arities) for nodes in network.nodes)]
    sums = [network.in_features, *(nodes.sums for nodes in network.nodes)]
    width = [[n, len(products)] for n, products in zip(sums, arities, strict=True)]
    same = {n for each in arities for n in each} <= {2}
    model = cls(width, grid, k, 2 if same else arities, auto_save=False).to(dtype=network.dtype)
    names = {id(primitive(name)): name for name in reversed(SYMBOLIC_LIB)}
    for (layer, _), (act, symbolic) in zip(network.parts(), model.parts(), strict=True):
        act.mask.data = layer.mask.T.to(act.mask)
        if bool(layer.mask.any()):
            act.grid.data, act.k = layer.basis.knots.clone(), layer.basis.degree
            act.num = layer.basis.grid
            act.coef.data = layer.coef.data.transpose(0, 1).clone()
            act.scale_sp.data.fill_(1.0)
            act.scale_base.data.zero_()
        for (o, i), lock in layer.locked():
            word = lock.primitive
            name = names.get(id(word))
            symbolic.set_function(i, o, name or word.torch)
            if name is None:
                symbolic.funs_name[o][i], symbolic.funs_sympy[o][i] = word.name, word.sympy
            symbolic.affine.data[o, i] = lock.constants.detach()
            symbolic.mask.data[o, i] = 1.0
    model.fresh = False
    model.auto_save = auto_save
    return model
