"""Write a network to a file and read it back to the last bit; nothing in it can run."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from edgewise._cones import check_kinds
from edgewise._errors import ConfigError, FormatError
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, Nodes
from edgewise._primitives import PRIMITIVES, Library, Primitive, find
from edgewise.bases import Basis, BSpline

PathLike: TypeAlias = str | os.PathLike[str]

_KEY = "edgewise"  # the one entry of ours in the metadata of the safetensors file
_VERSION = 1
_MOST_PRODUCTS = 2**24
"""A file that tells of more is no reason to take memory for them."""


def save(model: KAN, path: PathLike, *, notes: Mapping[str, str] | None = None) -> None:
    """Write a network to a safetensors file.

    The file holds the tensors, the configuration and a SHA-256 digest over both, and no code: to
    load it is safe, wherever it comes from. It appears under its name only when it is whole.

    Args:
        model: The network, with its masks and locked edges.
        path: Where to write; by custom it ends in `.safetensors`. A file that is there is replaced.
        notes: Texts to keep with the network, such as the names of its inputs; see `read_notes`.

    Raises:
        ConfigError: If the model is no `KAN`, or a note is no text.
        FileNotFoundError: If the folder does not exist.
        IsADirectoryError: If the path is a folder.

    Example:
        >>> ew.save(model, tmp_path / "model.safetensors")
        >>> again = ew.load(tmp_path / "model.safetensors")
        >>> torch.equal(again(x), model(x))
        True
    """
    from safetensors.torch import save as to_bytes

    if not isinstance(model, KAN):
        raise ConfigError(
            f"save writes a KAN, got a {type(model).__name__}. "
            "For another module use safetensors.torch.save_model."
        )
    config = _config(model, notes)
    tensors = {
        name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    config["sha256"] = _digest(config, tensors)
    write(Path(path), to_bytes(tensors, metadata={_KEY: json.dumps(config)}))


def load(path: PathLike, *, library: Library = PRIMITIVES) -> KAN:
    """Read a network that `save` wrote, onto the CPU.

    Args:
        path: The file.
        library: Where the functions of locked edges are looked up by name. A model that is locked
            to a primitive of your own needs it here: `PRIMITIVES.plus(mine)`. Powers are known
            without it.

    Returns:
        A network that is equal to the saved one in every bit.

    Raises:
        FormatError: If the file is not from `save`, damaged, changed, or of a newer edgewise; or if
            the library misses a primitive.
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If the path is a folder.

    Example:
        >>> ew.save(model, tmp_path / "model.safetensors")
        >>> ew.load(tmp_path / "model.safetensors")
        KAN([2, 5, 1], grid=3, 90 parameters)
    """
    path = Path(path)
    config, tensors = _read(path)
    try:
        model = _skeleton(config, library)
        _compare(model.state_dict(), tensors)
    except _Unfit as error:
        raise FormatError(f"{path}: {error}") from None
    model.load_state_dict(tensors, assign=True)
    return model


def read_notes(path: PathLike) -> dict[str, str]:
    """Read the texts that were saved with a network.

    Args:
        path: The file.

    Returns:
        The notes that were given to `save`.

    Raises:
        FormatError: If the file is not from `save`, damaged, changed, or of a newer edgewise.
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If the path is a folder.

    Example:
        >>> ew.save(model, tmp_path / "model.safetensors", notes={"target": "pressure"})
        >>> ew.read_notes(tmp_path / "model.safetensors")
        {'target': 'pressure'}
    """
    path = Path(path)
    notes = _read(path)[0].get("notes")
    if not isinstance(notes, dict) or not all(isinstance(text, str) for text in notes.values()):
        raise FormatError(f"{path}: its notes are no texts.")
    return notes


class _Unfit(Exception):
    """What a file says makes no network; the message says what."""


# the configuration


def _config(model: KAN, notes: Mapping[str, str] | None) -> dict[str, Any]:
    """Everything about a model but its tensors, as JSON values."""
    notes = dict(notes or {})
    for name, text in notes.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise ConfigError(f"Notes are texts by name, got {name!r}: {text!r}.")
    return {
        "version": _VERSION,
        "widths": model.widths,
        "bases": [_describe(layer.basis) for layer, _ in model.parts()],
        "locks": [
            {
                "layer": depth,
                "output": o,
                "input": i,
                "primitive": lock.primitive.name,
                "values": _values(lock.primitive),
            }
            for depth, (layer, _) in enumerate(model.parts())
            for (o, i), lock in layer.locked()
        ],
        "bounds": [
            {"layer": depth, "output": o, "input": i, "kinds": sorted(kinds)}
            for depth, (layer, _) in enumerate(model.parts())
            for (o, i), kinds in sorted(layer.bounds.items())
        ],
        "notes": notes,
    }


def _skeleton(config: dict[str, Any], library: Library) -> KAN:
    """Build the model that a configuration describes, without memory for its tensors."""
    try:
        nodes = [_nodes(width) for width in config["widths"]]
        sizes = list(zip(nodes[:-1], nodes[1:], config["bases"], strict=True))
        if not sizes:
            raise _Unfit("its configuration has no layers.")
        layers = []
        for source, target, described in sizes:
            basis = _basis(described)
            if basis.in_features != len(source):
                raise _Unfit(
                    f"a basis of {basis.in_features} inputs follows {len(source)} nodes "
                    "in its configuration."
                )
            layers.append(KANLayer(basis, target.in_features))
        for lock in config["locks"]:
            _lock(layers, lock, library)
        for bound in config.get("bounds", []):  # files from before there were any have none
            depth, o, i = _place(layers, bound, "bounds")
            layers[depth].bounds[o, i] = check_kinds(bound["kinds"])
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise _Unfit(f"its configuration makes no network ({error}).") from error
    return KAN.of(layers, nodes[1:])


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise _Unfit(f"its configuration has {value!r} where a number of things belongs.")
    return value


def _nodes(width: Any) -> Nodes:
    sums, products = (width, 0) if isinstance(width, int) else width
    if not isinstance(products, list):
        if _count(products) > _MOST_PRODUCTS:
            raise _Unfit(f"it has {products} product nodes, more than any file holds.")
        return Nodes(_count(sums), products)
    arities = [_count(arity) for arity in products]
    if min(arities, default=2) < 2:
        raise _Unfit(f"it has product nodes of {arities} factors.")
    return Nodes(_count(sums), arities)


def _place(layers: list[KANLayer], config: dict[str, Any], does: str) -> tuple[int, int, int]:
    """Read where an edge is."""
    depth, o, i = (_count(config[key]) for key in ("layer", "output", "input"))
    if depth >= len(layers) or o >= layers[depth].out_features or i >= layers[depth].in_features:
        raise _Unfit(f"it {does} an edge that is not there: layer {depth}, input {i}, output {o}.")
    return depth, o, i


def _lock(layers: list[KANLayer], config: dict[str, Any], library: Library) -> None:
    depth, o, i = _place(layers, config, "locks")
    name = config["primitive"]
    primitive = find(name, library)
    if primitive is None:
        raise _Unfit(
            f"it has an edge that is locked to the primitive {name!r}, which is not in the "
            "library. Give the library that has it: load(path, library=PRIMITIVES.plus(...))."
        )
    if not _same(_values(primitive), config["values"]):
        raise _Unfit(
            f"the primitive {name!r} of the library is another function than the one that the "
            "model was saved with. Give the library that has it: load(path, library=...)."
        )
    layers[depth].lock(o, i, Lock(primitive, torch.empty(4, device="meta")))


def _values(primitive: Primitive) -> list[float | None]:
    """A few values that tell a function from another of the same name; None where it has none."""
    u = torch.tensor([-1.3, -0.4, 0.4, 0.7, 1.6], dtype=torch.float64)
    values = primitive.torch(u).detach().tolist()
    return [value if math.isfinite(value) else None for value in values]


def _same(ours: list[float | None], theirs: Any) -> bool:
    return len(ours) == len(theirs) and all(
        a is b if a is None or b is None else math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
        for a, b in zip(ours, theirs, strict=True)
    )


# the families of bases, by the name that stands in the file


def _bspline(config: dict[str, Any]) -> BSpline:
    basis = BSpline(
        _count(config["in_features"]),
        grid=_count(config["grid"]),
        degree=_count(config["degree"]),
        device="meta",
    )
    basis.periodic = tuple(_count(i) for i in config.get("periodic", []))
    if any(i >= basis.in_features for i in basis.periodic):
        raise _Unfit(f"it has periodic inputs {basis.periodic} among {basis.in_features}.")
    return basis


_FAMILIES: dict[str, tuple[type[Basis], Callable[[dict[str, Any]], Basis]]] = {
    "bspline": (BSpline, _bspline),
}


def _describe(basis: Basis) -> dict[str, Any]:
    for name, (family, _) in _FAMILIES.items():
        if type(basis) is family:
            return {"family": name, **basis.config()}
    raise ConfigError(
        f"save does not know the family {type(basis).__name__}. "
        f"It writes networks of {', '.join(f.__name__ for f, _ in _FAMILIES.values())}."
    )


def _basis(config: dict[str, Any]) -> Basis:
    name = config["family"]
    if name not in _FAMILIES:
        raise _Unfit(f"this edgewise knows no family of functions called {name!r}.")
    return _FAMILIES[name][1](config)


# the file


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file and check that it is whole: its configuration and tensors."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give the model file in it.")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file {path}.") from None
    try:
        tensors = from_bytes(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        config = json.loads((header.get("__metadata__") or {}).get(_KEY, "null"))
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} cannot be read: {_suspect(content)} ({error}).") from None
    if not isinstance(config, dict) or "version" not in config:
        raise FormatError(
            f"{path} is a safetensors file, but was not written by edgewise.save. To take its "
            "tensors, use safetensors.torch.load_file and load_state_dict."
        )
    version, digest = config["version"], config.pop("sha256", None)
    if isinstance(version, int) and version > _VERSION:
        raise FormatError(
            f"{path} is of format {version}, and this edgewise reads format {_VERSION}. "
            "Install a newer one: pip install --upgrade edgewise."
        )
    if version != _VERSION or digest != _digest(config, tensors):
        raise FormatError(
            f"{path} was damaged or changed after it was saved: its SHA-256 digest does not match. "
            "Copy it again from where it came, or save the model again."
        )
    return config, tensors


def _suspect(content: bytes) -> str:
    if content[:4] == b"PK\x03\x04" or content[:1] == b"\x80":
        return (
            "it looks like a pickle, as torch.save writes, and edgewise opens none, since a pickle "
            "can run code. Load it where you trust it, and write it with edgewise.save"
        )
    return (
        "it is cut short, damaged, or no safetensors file. Copy it again from where it came, "
        "or save the model again"
    )


def _digest(config: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 over a configuration and the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _compare(expected: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    """Check that tensors are those of the configuration, by name, shape and kind."""
    if expected.keys() != tensors.keys():
        odd = ", ".join(sorted(expected.keys() ^ tensors.keys())[:5])
        raise _Unfit(f"its tensors are not those of its configuration: {odd}.")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise _Unfit(
                f"{name} has the shape {tuple(tensor.shape)}, and by its configuration "
                f"{tuple(expected[name].shape)}."
            )
        if tensor.is_floating_point() != expected[name].is_floating_point():
            raise _Unfit(f"{name} cannot be of type {tensor.dtype}.")


def write(path: Path, content: bytes) -> None:
    """Write beside the path, then rename, so that nobody ever reads half a file."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give the name of a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent}. Make it first.")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # as open() would have made it; mkstemp says 0600
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
