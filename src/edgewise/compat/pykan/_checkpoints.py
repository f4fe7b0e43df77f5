"""States of a network: in memory, or in pykan's files."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edgewise._errors import ConfigError, FormatError, require
from edgewise._primitives import PRIMITIVES, find
from edgewise.compat.pykan._words import SYMBOLIC_LIB

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN

_LISTS = ("node_bias", "node_scale", "subnode_bias", "subnode_scale")
_SETTINGS = (
    "width",
    "grid",
    "k",
    "mult_arity",
    "base_fun_name",
    "symbolic_enabled",
    "affine_trainable",
    "grid_eps",
    "grid_range",
    "sp_trainable",
    "sb_trainable",
    "state_id",
    "auto_save",
    "ckpt_path",
    "round",
)


class Form(NamedTuple):
    """What states have in common that differ only in numbers: a network with any such numbers."""

    settings: tuple[Any, ...]
    model: MultKAN


class Version(NamedTuple):
    """One state: its number, what led to it, its form, its parameters, and the rows it has seen."""

    number: str
    line: str
    form: Form
    values: Tensor
    data: Tensor | None


def log_history(self: MultKAN, method_name: str) -> None:
    """Keep the present state under the next number, if `auto_save` is on."""
    if not self.auto_save:
        return
    before = f"{self.round}.{self.state_id}"
    self.state_id += 1
    number = f"{self.round}.{self.state_id}"
    _keep(self, number, f"{before} => {method_name} => {number}")


def begin(model: MultKAN) -> None:
    """Keep the first state."""
    if model.auto_save:
        _keep(model, f"{model.round}.{model.state_id}", f"init => {model.round}.{model.state_id}")


def _keep(model: MultKAN, number: str, line: str) -> None:
    model.versions.append(_version(model, number, line))
    if model.ckpt_path is not None:
        folder = Path(model.ckpt_path)
        folder.mkdir(parents=True, exist_ok=True)
        saveckpt(model, str(folder / number))
        mode = "w" if line.startswith("init") else "a"
        with open(folder / "history.txt", mode) as file:
            if mode == "w":
                file.write(f"### Round {model.round} ###\n")
            file.write(line + "\n")


def _version(model: MultKAN, number: str, line: str) -> Version:
    """Take a network's state; what earlier ones hold already is shared with them."""
    settings = _settings(model)
    form = next((v.form for v in reversed(model.versions) if v.form.settings == settings), None)
    if form is None:
        form = Form(settings, copy.deepcopy(model))
        form.model.versions, form.model.cache_data = [], None
    data = model.cache_data
    if data is not None and model.versions:
        last = model.versions[-1].data
        if last is not None and _same(last, data):
            data = model.cache_data = last
    values = torch.cat([tensor.detach().flatten() for tensor in _tensors(model)])
    return Version(number, line, form, values, data)


def _network(version: Version) -> MultKAN:
    """Make the network of a state anew, without a history."""
    model = copy.deepcopy(version.form.model)
    tensors = _tensors(model)
    parts = version.values.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.data.copy_(part.view_as(tensor))
    model.round, model.state_id = (int(part) for part in version.number.split("."))
    model.cache_data = version.data
    return model


def _tensors(model: MultKAN) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _settings(model: MultKAN) -> tuple[Any, ...]:
    """All that makes a network but the values of its parameters, to be compared."""
    own = {"versions", "cache_data", "state_id", "round"}
    found: list[Any] = []
    for name, module in model.named_modules():
        state = model.__getstate__() if module is model else vars(module)
        kept = {k: v for k, v in state.items() if k[:1] != "_" and (name or k not in own)}
        found.append((name, type(module), _plain(kept)))
    return (*found, *((t.shape, t.dtype, t.device, t.requires_grad) for t in _tensors(model)))


def _plain(value: Any) -> Any:
    """Copy tables into what compares by value, and changes no more; functions stay themselves."""
    if isinstance(value, dict):
        return tuple((key, _plain(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value.tolist() if isinstance(value, Tensor | np.ndarray) else value


def _same(one: Tensor, other: Tensor) -> bool:
    return (one.dtype, one.device) == (other.dtype, other.device) and torch.equal(one, other)


def copy_of(self: MultKAN) -> MultKAN:
    """Give a copy; nothing is written."""
    return copy.deepcopy(self)


def checkout(self: MultKAN, model_id: str) -> MultKAN:
    """Give a copy of an earlier state, "round.state"."""
    for version in reversed(self.versions):
        if version.number == str(model_id):
            twin = _network(version)
            twin.versions = self.versions
            return twin
    if (
        self.ckpt_path is not None
        and Path(f"{Path(self.ckpt_path) / str(model_id)}_state").exists()
    ):
        return loadckpt(str(Path(self.ckpt_path) / str(model_id)))
    known = ", ".join(version.number for version in self.versions)
    raise ConfigError(
        f"There is no state {model_id!r}. Known are: {known or 'none, since auto_save is off'}."
    )


def rewind(self: MultKAN, model_id: str) -> MultKAN:
    """Give a copy of an earlier state, "round.state", and begin a new round with it."""
    twin = checkout(self, model_id)
    self.round += 1
    twin.round, twin.state_id = self.round, int(str(model_id).split(".")[-1])
    number = f"{twin.round}.{twin.state_id}"
    twin.versions.append(_version(twin, number, f"### Round {twin.round} ###"))
    if twin.ckpt_path is not None:
        folder = Path(twin.ckpt_path)
        folder.mkdir(parents=True, exist_ok=True)
        saveckpt(twin, str(folder / number))
        with open(folder / "history.txt", "a") as file:
            file.write(f"### Round {twin.round} ###\n")
    return twin


def history(self: MultKAN, k: int | str = "all") -> None:
    """Print what led from state to state: all of it, or the last k lines."""
    lines = [version.line for version in self.versions]
    for line in lines if k == "all" else lines[-int(k) :]:
        print(line)


# pykan's files


def rename(module: nn.Module, state: dict[str, Any], *rest: Any) -> None:
    """Take pykan's names of parameters, `node_bias_0`, for ours, `node_bias.0`."""
    for key in list(state):
        name, _, number = key.rpartition("_")
        if name in _LISTS and number.isdigit():
            state[f"{name}.{number}"] = state.pop(key)


def saveckpt(self: MultKAN, path: str = "model") -> None:
    """Write pykan's three files: `path` + `_config.yml`, `_state` and `_cache_data`.

    Raises:
        ConfigError: If the base function or one on an edge has no name to find it by again.
    """
    if not isinstance(self.base_fun_name, str):
        raise ConfigError(
            "A network whose base_fun is a function of the caller's cannot be saved: nothing tells "
            "it when it is loaded. Use 'silu', 'identity' or 'zero'."
        )
    config = {name: getattr(self, name) for name in _SETTINGS}
    config["ckpt_path"] = config["ckpt_path"] or "./model"
    config |= {"device": str(self.device), "input_id": self.input_id.tolist()}
    config["input_width"] = self.input_width
    config["smooth"] = [act.smooth for act, _ in self.parts()]  # pykan passes over it
    for layer, (_, symbolic) in enumerate(self.parts()):
        for j, i in symbolic.active():
            _word(symbolic.funs_name[j][i])
        config[f"symbolic.funs_name.{layer}"] = symbolic.funs_name
    state = {}
    for key, value in self.state_dict().items():
        name, _, number = key.partition(".")
        state[f"{name}_{number}" if name in _LISTS else key] = value
    # JSON is YAML, too
    Path(f"{path}_config.yml").write_text(json.dumps(config, indent=1))
    torch.save(state, f"{path}_state")
    torch.save(self.cache_data, f"{path}_cache_data")


def _word(name: str) -> tuple[Any, Any, Any]:
    """Find a function by its name: torch, SymPy, and the twin that stays finite."""
    if name in SYMBOLIC_LIB:
        torch_fun, sympy_fun, _, guarded = SYMBOLIC_LIB[name]
        return torch_fun, sympy_fun, guarded
    found = find(name, PRIMITIVES)
    if found is None:
        raise ConfigError(
            f"An edge has the function {name!r}, which is not in the library. Add it with "
            "add_symbolic(name, function) and fix the edge by its name."
        )
    from edgewise.compat.pykan._layers import Finite

    return found.torch, found.sympy, Finite(found.torch)


def loadckpt(path: str = "model") -> MultKAN:
    """Read a network from pykan's three files, which pykan or `saveckpt` wrote.

    It is on the CPU, and it computes what it did, but that splines go on linearly outside their
    grids. Files that hold code are refused.

    Raises:
        FormatError: If the files are no such files.
        MissingExtraError: If pykan wrote them and PyYAML is not installed.
        FileNotFoundError: If there are none.
    """
    from edgewise.compat.pykan._network import MultKAN

    config = _config(Path(f"{path}_config.yml"))
    try:
        state = torch.load(f"{path}_state", map_location="cpu", weights_only=True)
        cache = Path(f"{path}_cache_data")
        data = torch.load(cache, map_location="cpu", weights_only=True) if cache.exists() else None
    except FileNotFoundError:
        raise
    except Exception as error:
        raise FormatError(f"{path}_state or {path}_cache_data cannot be read: {error}") from None
    try:
        model = MultKAN(
            config["width"],
            config["grid"],
            config["k"],
            config["mult_arity"],
            base_fun=config["base_fun_name"],
            symbolic_enabled=config["symbolic_enabled"],
            affine_trainable=config["affine_trainable"],
            grid_eps=config["grid_eps"],
            grid_range=config["grid_range"],
            sp_trainable=config["sp_trainable"],
            sb_trainable=config["sb_trainable"],
            auto_save=False,
            state_id=int(config["state_id"]),
            round=int(config["round"]) + 1,
        ).to(dtype=state["act_fun.0.coef"].dtype)
        model.load_state_dict(state)
        for (act, _), smooth in zip(model.parts(), config.get("smooth", ()), strict=False):
            act.smooth = bool(smooth)
        for layer, (_, symbolic) in enumerate(model.parts()):
            names = config[f"symbolic.funs_name.{layer}"]
            for j, row in enumerate(names):
                for i, name in enumerate(row):
                    if name == "0" or symbolic.mask[j, i] == 0:
                        continue
                    torch_fun, sympy_fun, guarded = _word(name)
                    symbolic.funs[j][i], symbolic.funs_sympy[j][i] = torch_fun, sympy_fun
                    symbolic.funs_avoid_singularity[j][i] = guarded
                    symbolic.funs_name[j][i] = name
    except (KeyError, TypeError, RuntimeError, ConfigError) as error:
        raise FormatError(f"{path}_config.yml and {path}_state make no network: {error}") from None
    if "input_id" in config:
        model.input_id = torch.tensor(config["input_id"], dtype=torch.long)
        model.input_width = int(config.get("input_width", max(config["input_id"]) + 1))
    model.cache_data, model.fresh = data, False
    model.auto_save = bool(config["auto_save"])
    begin(model)
    return model


def _config(path: Path) -> Mapping[str, Any]:
    text = path.read_text()
    try:
        return json.loads(text)
    except ValueError:
        pass
    yaml = require("yaml", "compat")  # pykan's own files are no JSON
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FormatError(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise FormatError(f"{path} holds no configuration.")
    return config
