"""Changes of a network's shape and order that keep what it computes, or wire it anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgewise._errors import ConfigError
from edgewise.compat.pykan._attribution import attribute, scored
from edgewise.compat.pykan._layers import (
    KANLayer,
    Symbolic_KANLayer,
    exchanged,
    indices,
)
from edgewise.compat.pykan._pruning import with_nodes
from edgewise.compat.pykan._utils import distances

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN


# order


def swap(self: MultKAN, l: int, i1: int, i2: int, log_history: bool = True) -> None:
    """Exchange two nodes of a hidden layer, in place; the network computes the same.

    Raises:
        ConfigError: If there are no such nodes, or one sums and the other multiplies.
    """
    check_hidden(l, self.depth)
    i1, i2 = int(i1), int(i2)
    order = exchanged(self.width_in[l], i1, i2)
    sums = self.width[l][0]
    if (i1 < sums) != (i2 < sums):
        raise ConfigError(f"Node {i1} and node {i2} of layer {l} are not of one kind.")
    changed = with_nodes(
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


def check_hidden(l: int, depth: int) -> None:
    """Refuse a layer that is not hidden."""
    if not 1 <= l < depth:
        raise ConfigError(f"Only the hidden layers, 1 to {depth - 1}, can be changed, got l={l}.")


def connection_cost(model: MultKAN) -> Tensor:
    """The length of all edges as they are drawn, weighted with their scores."""
    if model.edge_scores is None:
        attribute(model)
    assert model.edge_scores is not None
    return length(model.edge_scores)


def length(scores: Sequence[Tensor]) -> Tensor:
    """The length of edges as they are drawn, weighted with their scores (outputs, inputs)."""
    total = torch.zeros(())
    for score in scores:
        total = total.to(score) + (distances(*score.shape).to(score) * score).sum()
    return total


def shortening(
    before: Tensor, after: Tensor, sums: int, arities: Sequence[int] = ()
) -> list[tuple[int, int]]:
    """Find exchanges of nodes, to be made one after the other, that shorten the edges of a layer.

    Args:
        before: The scores of the edges that enter it (subnodes, inputs).
        after: The scores of the edges that leave it (outputs, nodes).
        sums: How many of its nodes are sums, which change places among themselves.
        arities: How many subnodes each product has.
    """
    factors, after = list(before.detach().split([1] * sums + [*arities])), after.detach()
    pairs = []
    for i in range(len(factors)):
        found = []
        for j in range(sums) if i < sums else range(sums, len(factors)):
            order = exchanged(len(factors), i, j)
            entering, leaving = [factors[n] for n in order], after[:, order]
            cost = float(length([torch.cat(entering), leaving]))
            found.append((cost, j != i, j, entering, leaving))
        _, moved, j, factors, after = min(found, key=lambda each: each[:3])
        pairs += [(i, j)] if moved else []
    return pairs


def auto_swap_l(self: MultKAN, l: int) -> None:
    """Exchange nodes of a hidden layer, in place, as long as that shortens the connections."""
    check_hidden(l, self.depth)
    edges = scored(self).edge_scores
    assert edges is not None
    before, after = edges[l - 1 : l + 1]
    for i, j in shortening(before, after, self.width[l][0], self.arities(l)):
        swap(self, l, i, j, log_history=False)


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
