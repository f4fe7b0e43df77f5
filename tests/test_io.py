"""Files: exact to the last bit, and closed to everything that save did not write."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

import edgewise as ew
from edgewise._io import _digest
from edgewise._layer import Lock

SINC = ew.Primitive("sinc", torch.sinc, lambda u: u)


def locked() -> ew.KAN:
    """A network with a product node, an edge that is off, and a lock with a fixed constant."""
    torch.manual_seed(0)
    model = ew.KAN([3, (2, 1), 1], grid=4, degree=2)
    model.parts()[0][0].remove(0, 1)
    lock = Lock(ew.PRIMITIVES["sin"], torch.randn(4).double(), torch.tensor([1, 0, 1, 1]).bool())
    model.parts()[0][0].lock(3, 2, lock)
    return model


def parse(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["edgewise"]), from_bytes(content)


def forge(path: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write what a careful forger would: another content with the right digest."""
    config.pop("sha256", None)
    config["sha256"] = _digest(config, tensors)
    path.write_bytes(to_bytes(tensors, metadata={"edgewise": json.dumps(config)}))


def assert_equal(a: ew.KAN, b: ew.KAN) -> None:
    first, second = a.state_dict(), b.state_dict()
    assert list(first) == list(second)
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        as_bytes = [t.contiguous().reshape(-1).view(torch.uint8) for t in (tensor, second[name])]
        assert torch.equal(*as_bytes)
    assert a.widths == b.widths
    assert a.edges() == b.edges()


# what comes back


@pytest.mark.parametrize(
    "model",
    [
        ew.KAN([2, 5, 1]),
        ew.KAN([1, 1], grid=1, degree=9),
        ew.KAN([4, (0, 2), (1, 1), 2], grid=7, degree=1),
        ew.KAN([4, (1, [3, 2]), (1, [4]), 2]),
        ew.KAN([2, 3, 1], dtype=torch.float32),
        ew.refine(ew.KAN([2, 2, 1], domain=(0.0, 5.0)), 6),
        locked(),
    ],
    ids=str,
)
def test_a_model_comes_back_to_the_bit(model: ew.KAN, tmp_path: Path) -> None:
    x = torch.rand(20, model.in_features, dtype=model.dtype)
    ew.save(model, tmp_path / "m.safetensors")
    again = ew.load(tmp_path / "m.safetensors")
    assert_equal(model, again)
    # another memory layout is summed in another order: equal but for rounding
    rounding = 100 * torch.finfo(model.dtype).eps
    torch.testing.assert_close(model(x), again(x), rtol=rounding, atol=rounding)


def test_a_pruned_model_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = 2 * torch.rand(50, 3, dtype=torch.float64) - 1
    model = ew.prune(ew.KAN([3, (3, 2), 2]), x, node_threshold=0.2, edge_threshold=0.2)
    ew.save(model, tmp_path / "m.safetensors")
    assert_equal(model, ew.load(tmp_path / "m.safetensors"))


def test_free_flags_and_lock_values_come_back(tmp_path: Path) -> None:
    ew.save(locked(), tmp_path / "m.safetensors")
    layer = ew.load(tmp_path / "m.safetensors").parts()[0][0]
    ((o, i), lock), *rest = layer.locked()
    assert (o, i, rest) == (3, 2, [])
    assert lock.primitive is ew.PRIMITIVES["sin"]
    assert lock.free.tolist() == [True, False, True, True]


def test_odd_numbers_come_back(tmp_path: Path) -> None:
    model = ew.KAN([1, 1])
    with torch.no_grad():
        values = torch.tensor([float("nan"), float("-inf"), -0.0, 5e-324, 1e308, 0.1])
        model.parts()[0][0].coef[0, 0] = values.double()
    ew.save(model, tmp_path / "m.safetensors")
    assert_equal(model, ew.load(tmp_path / "m.safetensors"))


def test_tensors_in_any_memory_layout_are_written(tmp_path: Path) -> None:
    model = ew.KAN([3, 4, 1])
    (first, _), (second, _) = model.parts()
    columns_first = first.coef.detach().transpose(0, 2).contiguous().transpose(0, 2)
    first.coef = torch.nn.Parameter(columns_first)
    second.coef = torch.nn.Parameter(torch.ones(1).double().expand(1, 4, 6))
    assert not first.coef.is_contiguous()
    assert not second.coef.is_contiguous()
    ew.save(model, tmp_path / "m.safetensors")
    assert_equal(model, ew.load(tmp_path / "m.safetensors"))


def test_a_loaded_model_trains_and_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    ew.save(locked(), path)
    before = path.read_bytes()
    model = ew.load(path)
    assert all(parameter.requires_grad for parameter in model.parameters())
    model(torch.ones(1, 3).double()).sum().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert path.read_bytes() == before


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    ew.save(ew.KAN([2, 5, 1]), tmp_path / "m.safetensors")
    state = torch.random.get_rng_state()
    ew.load(tmp_path / "m.safetensors")
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    for name in "ab":
        ew.save(locked(), tmp_path / name, notes={"inputs": "x", "target": "y"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_notes_come_back(tmp_path: Path) -> None:
    notes = {"inputs": '["<b>", "größe"]', "": "\0 \U0001f600 empty name"}
    ew.save(ew.KAN([1, 1]), tmp_path / "m", notes=notes)
    assert ew.read_notes(tmp_path / "m") == notes
    ew.save(ew.KAN([1, 1]), tmp_path / "m")
    assert ew.read_notes(tmp_path / "m") == {}


def test_a_primitive_of_ones_own_comes_back_with_its_library(tmp_path: Path) -> None:
    model = ew.KAN([1, 1])
    model.parts()[0][0].lock(0, 0, Lock(SINC, torch.ones(4).double()))
    ew.save(model, tmp_path / "m")
    again = ew.load(tmp_path / "m", library=ew.PRIMITIVES.plus(SINC))
    assert_equal(model, again)
    with pytest.raises(ew.FormatError, match=r"'sinc', which is not in the library.*library="):
        ew.load(tmp_path / "m")
    other = ew.Primitive("sinc", torch.sin, lambda u: u)
    with pytest.raises(ew.FormatError, match=r"'sinc' of the library is another function"):
        ew.load(tmp_path / "m", library=ew.PRIMITIVES.plus(other))


@pytest.mark.parametrize("primitive", ew.PRIMITIVES, ids=lambda p: p.name)
def test_every_primitive_comes_back(primitive: ew.Primitive, tmp_path: Path) -> None:
    model = ew.KAN([1, 1])
    model.parts()[0][0].lock(0, 0, Lock(primitive, torch.ones(4).double()))
    ew.save(model, tmp_path / "m")
    assert_equal(model, ew.load(tmp_path / "m"))


# writing


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_text("old")
    ew.save(ew.KAN([1, 1]), path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    assert ew.load(str(path)).widths == [1, 1]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    ew.save(ew.KAN([1, 1]), path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        ew.save(ew.KAN([2, 1]), path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    assert path.read_bytes() == before


def test_bad_places_are_named(tmp_path: Path) -> None:
    model = ew.KAN([1, 1])
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere"):
        ew.save(model, tmp_path / "nowhere" / "m.safetensors")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        ew.save(model, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no file .*m\.safetensors"):
        ew.load(tmp_path / "m.safetensors")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        ew.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        ew.read_notes(tmp_path / "m.safetensors")


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ew.ConfigError, match="save writes a KAN, got a Linear"):
        ew.save(torch.nn.Linear(1, 1), tmp_path / "m")  # type: ignore[arg-type]
    with pytest.raises(ew.ConfigError, match="Notes are texts"):
        ew.save(ew.KAN([1, 1]), tmp_path / "m", notes={"seed": 0})  # type: ignore[dict-item]

    class Mine(ew.bases.BSpline):
        pass

    model = ew.KAN.of([ew.KANLayer(Mine(1), 1)], list(ew.KAN([1, 1]).nodes))  # type: ignore[arg-type]
    with pytest.raises(ew.ConfigError, match="does not know the family Mine"):
        ew.save(model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


# files from elsewhere


class Bomb:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Bomb(trap)))
    torch.save({"bomb": Bomb(trap)}, tmp_path / "b.pt")
    for name in ("a.pkl", "b.pt"):
        with pytest.raises(ew.FormatError, match="looks like a pickle"):
            ew.load(tmp_path / name)
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"", b"\0", b"hello, world", b"\xff" * 64, b"{" * 5000])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ew.FormatError, match="cut short, damaged, or no safetensors"):
        ew.load(tmp_path / "m")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"edgewise": "[]"},
        {"edgewise": "{}"},
        {"edgewise": "null"},
    ],
)
def test_safetensors_of_others_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(to_bytes(ew.KAN([1, 1]).state_dict(), metadata=metadata))
    with pytest.raises(ew.FormatError, match=r"not written by edgewise\.save.*load_state_dict"):
        ew.load(tmp_path / "m")


@pytest.mark.parametrize("text", ["nonsense", "[" * 100_000, "1" * 10_000])
def test_metadata_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(to_bytes({}, metadata={"edgewise": text}))
    with pytest.raises(ew.FormatError, match="cannot be read"):
        ew.load(tmp_path / "m")


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F64", "shape": [2**62], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F64", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 2**60]}},
        {"a": {"dtype": "F64", "shape": [1], "data_offsets": [8, 0]}},
        {"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}},
        {"a": {"dtype": "Q8", "shape": [1], "data_offsets": [0, 8]}},
        {"__metadata__": {"edgewise": 5}},
        {"__metadata__": None},
    ],
    ids=str,
)
def test_absurd_headers_are_refused(header: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(ew.FormatError):
        ew.load(tmp_path / "m")


def test_a_header_of_absurd_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(ew.FormatError, match="cannot be read"):
        ew.load(tmp_path / "m")


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    ew.save(ew.KAN([2, 1]), path, notes={"target": "y"})
    content = path.read_bytes()
    for length in [*range(0, len(content), 23), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ew.FormatError, match="cut short"):
            ew.load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ew.FormatError):
        ew.load(path)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_flipped_byte_passes_for_another_model(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "m"
    model = locked()
    ew.save(model, path, notes={"target": "größe"})
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        again, notes = ew.load(path), ew.read_notes(path)
    except ew.FormatError:
        return
    assert_equal(model, again)
    assert notes == {"target": "größe"}


def test_changed_tensors_and_settings_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    ew.save(locked(), path, notes={"target": "y"})
    config, tensors = parse(path)
    tensors["layers.1.coef"][0, 0, 0] += 1e-12
    path.write_bytes(to_bytes(tensors, metadata={"edgewise": json.dumps(config)}))
    with pytest.raises(ew.FormatError, match="damaged or changed"):
        ew.load(path)

    ew.save(locked(), path, notes={"target": "y"})
    config, tensors = parse(path)
    for changed in (
        {**config, "notes": {"target": "z"}},
        {**config, "locks": []},
        {**config, "sha256": None},
        {**config, "version": 0},
        {k: v for k, v in config.items() if k != "sha256"},
    ):
        path.write_bytes(to_bytes(tensors, metadata={"edgewise": json.dumps(changed)}))
        for read in (ew.load, ew.read_notes):
            with pytest.raises(ew.FormatError, match="damaged or changed"):
                read(path)


def test_a_newer_format_says_to_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "m"
    ew.save(locked(), path)
    config, tensors = parse(path)
    forge(path, {**config, "version": 2}, tensors)
    with pytest.raises(ew.FormatError, match=r"format 2.*reads format 1.*--upgrade edgewise"):
        ew.load(path)


LOCK = {"layer": 0, "output": 3, "input": 2, "primitive": "sin", "values": [0.0] * 5}
SPLINE = {"family": "bspline", "in_features": 3, "grid": 4, "degree": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": None}, "makes no network"),
        ({"widths": []}, "makes no network"),
        ({"widths": [3]}, "makes no network"),
        ({"widths": [3, [2, 1, 0], 1]}, "makes no network"),
        ({"widths": [3, "2", 1]}, "makes no network"),
        ({"widths": [3, [-2, 1], 1]}, "-2 where a number"),
        ({"widths": [3, [2.0, 1], 1]}, r"2\.0 where a number"),
        ({"widths": [3, [2**40, 1], 1]}, "where a number"),
        ({"widths": [3, [2**31 - 1, 1], 1]}, "follows 2147483648 nodes"),
        ({"widths": [3, [1, 2**31 - 1], 1]}, "more than any file holds"),
        ({"widths": [3, [2, 0], 1]}, "basis of 3 inputs follows 2 nodes"),
        ({"widths": [3, [2, 1], 7]}, r"layers\.1\.\w+ has the shape"),
        ({"widths": [3, [2, 1], 0]}, "makes no network"),
        ({"widths": [3, [2, 1], True]}, "where a number"),
        ({"widths": [3, [2, [1]], 1]}, r"product nodes of \[1\] factors"),
        ({"widths": [3, [2, [2.0]], 1]}, r"2\.0 where a number"),
        ({"widths": [3, [2, [3]], 1]}, r"layers\.0\.\w+ has the shape"),
        ({"bases": {}}, "makes no network"),
        ({"bases": [{}, {}]}, "makes no network"),
        ({"bases": [SPLINE, {**SPLINE, "family": "wavelet"}]}, "no family.*wavelet"),
        ({"bases": [SPLINE, {**SPLINE, "family": "__import__('os')"}]}, "no family"),
        ({"bases": [SPLINE, {**SPLINE, "degree": 10}]}, "degree must be"),
        ({"bases": [SPLINE, {**SPLINE, "degree": 2.0}]}, "where a number"),
        ({"bases": [SPLINE, {**SPLINE, "grid": 5}]}, r"layers\.1\..* has the shape"),
        ({"bases": [SPLINE, {**SPLINE, "grid": 2**31 - 1}]}, r"layers\.1\..* has the shape"),
        ({"locks": []}, r"not those of its configuration: layers\.0\.locks"),
        ({"locks": None}, "makes no network"),
        ({"locks": [LOCK]}, "another function"),
        ({"locks": [{**LOCK, "values": 5}]}, "makes no network"),
        ({"locks": [{**LOCK, "values": ["a"] * 5}]}, "makes no network"),
        ({"locks": [{**LOCK, "layer": 9}]}, "an edge that is not there"),
        ({"locks": [{**LOCK, "output": 4}]}, "an edge that is not there"),
        ({"locks": [{**LOCK, "input": 3}]}, "an edge that is not there"),
        ({"locks": [{**LOCK, "primitive": "os.system"}]}, "'os.system', which is not in"),
        ({"locks": [{**LOCK, "primitive": ["sin"]}]}, "makes no network"),
    ],
    ids=str,
)
def test_configurations_that_do_not_fit_are_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m"
    ew.save(locked(), path)
    config, tensors = parse(path)
    forge(path, {**config, **change}, tensors)
    with pytest.raises(ew.FormatError, match=message):
        ew.load(path)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("layers.0.coef", torch.zeros(4, 3, 7).double(), "has the shape"),
        ("layers.0.coef", torch.zeros(()).double(), "has the shape"),
        ("layers.0.coef", torch.zeros(4, 3, 6, dtype=torch.int64), "cannot be of type"),
        ("layers.0.mask", torch.zeros(4, 3), "cannot be of type"),
        ("layers.2.coef", torch.zeros(1), "not those of its configuration"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    name: str, tensor: Tensor, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m"
    ew.save(locked(), path)
    config, tensors = parse(path)
    forge(path, config, {**tensors, name: tensor})
    with pytest.raises(ew.FormatError, match=message):
        ew.load(path)


@pytest.mark.parametrize("notes", [None, [], {"seed": 1}])
def test_notes_that_are_no_texts_are_refused(notes: Any, tmp_path: Path) -> None:
    path = tmp_path / "m"
    ew.save(locked(), path)
    config, tensors = parse(path)
    forge(path, {**config, "notes": notes}, tensors)
    with pytest.raises(ew.FormatError, match="notes are no texts"):
        ew.read_notes(path)
