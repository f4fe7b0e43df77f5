"""Versions of a network: a tree that a crash or a second process cannot spoil."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import edgewise as ew
from builders import put, sample
from edgewise import _history
from edgewise._layer import Lock


def _fill(history: ew.History) -> list[ew.KAN]:
    """A trunk of two versions and a branch from the first."""
    models = [ew.KAN([2, 3, 1]), ew.KAN([2, 3, 1], grid=5), ew.KAN([2, (1, 1), 1])]
    put(models[2], (0, 0, 1), "sin", 1.0, 2.0, 3.0, 4.0)
    assert history.add(models[0], note="first", name="0.1") == 1
    assert history.add(models[1], "refined") == 2
    history.checkout(1)
    assert history.add(models[2], "branched off") == 3
    return models


@pytest.fixture(params=["memory", "folder"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> ew.History:
    return ew.History() if request.param == "memory" else ew.History(tmp_path / "new" / "versions")


def test_versions_are_a_tree(history: ew.History) -> None:
    _fill(history)
    assert len(history) == 3
    assert [(v.id, v.parent, v.note, v.name) for v in history] == [
        (1, None, "first", "0.1"),
        (2, 1, "refined", ""),
        (3, 1, "branched off", ""),
    ]
    assert history.current == 3
    assert (history.parent(3), history.parent("0.1")) == (1, None)
    assert (history.children(1), history.children(2)) == ([2, 3], [])
    assert 2 in history
    assert "0.1" in history
    assert 4 not in history
    assert "" not in history


def test_a_version_comes_back_to_the_last_bit(history: ew.History) -> None:
    models = _fill(history)
    x = sample(20)
    for number, model in enumerate(models, 1):
        assert torch.equal(history.checkout(number)(x), model(x))
        assert history.current == number
    assert torch.equal(history.checkout("0.1")(x), models[0](x))


def test_what_is_done_to_a_model_does_not_change_its_version(history: ew.History) -> None:
    model, x = ew.KAN([2, 1]), sample(20)
    history.add(model)
    before = model(x)
    for changed in (model, history.checkout(1)):
        with torch.no_grad():
            changed.parts()[0][0].coef.zero_()
        assert torch.equal(history.checkout(1)(x), before)


def test_a_parent_can_be_given(history: ew.History) -> None:
    _fill(history)
    history.add(ew.KAN([2, 1]), parent=2)
    history.add(ew.KAN([2, 1]), parent="0.1")
    assert [v.parent for v in history] == [None, 1, 1, 2, 1]


def test_the_log_is_a_table(history: ew.History) -> None:
    _fill(history)
    history.checkout(2)
    head, *lines = history.log().splitlines()
    assert head.split() == ["id", "from", "name", "time", "(UTC)", "network", "note"]
    assert [line[0] for line in lines] == [" ", "*", " "]
    assert lines[1].split()[1:3] == ["2", "1"]
    assert lines[2].endswith("branched off")
    assert len({line.index("KAN(") for line in lines}) == 1
    assert "0.1" in lines[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h: h.checkout(7), "There is no version 7. There are 1 to 3, called '0.1'."),
        (lambda h: h.checkout("best"), "There is no version 'best'."),
        (lambda h: h.add(ew.KAN([1, 1]), parent=9), "There is no version 9."),
        (lambda h: h.add(ew.KAN([1, 1]), name="0.1"), "There is a version called '0.1' already"),
        (lambda h: h.add(ew.KAN([1, 1]), name="12"), "must not look like a number, got '12'"),
    ],
)
def test_what_cannot_be_says_so(history: ew.History, call: Any, message: str) -> None:
    _fill(history)
    with pytest.raises(ew.ConfigError, match=re.escape(message)):
        call(history)
    assert len(history) == 3
    assert history.current == 3


@pytest.mark.usefixtures("unchecked")
def test_only_networks_are_kept(history: ew.History) -> None:
    with pytest.raises(ew.ConfigError, match="versions of a KAN, got a Linear"):
        history.add(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(ew.ConfigError, match="The history is empty: add one first"):
        history.checkout(1)


def test_nothing_is_written_unless_a_folder_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _fill(ew.History())
    ew.History(tmp_path / "versions")
    assert list(tmp_path.iterdir()) == []


# a folder


def test_a_folder_is_opened_where_it_was_left(tmp_path: Path) -> None:
    first = ew.History(tmp_path)
    _fill(first)
    first.checkout(2)
    again = ew.History(str(tmp_path))
    assert list(again) == list(first)
    assert again.current == 2
    assert again.log() == first.log()


@pytest.mark.parametrize("damage", ["missing", "empty", "half", "other"])
def test_the_list_is_made_anew_from_the_files(tmp_path: Path, damage: str) -> None:
    first = ew.History(tmp_path)
    _fill(first)
    index = tmp_path / "versions.json"
    text = index.read_text()
    if damage == "missing":
        index.unlink()
    else:
        index.write_text({"empty": "", "half": text[: len(text) // 2], "other": "[1]"}[damage])
    again = ew.History(tmp_path)
    assert list(again) == list(first)
    assert again.current == 3


def test_a_damaged_version_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    models = _fill(ew.History(tmp_path))
    (tmp_path / "0002.safetensors").write_bytes(b"half a fi")
    (tmp_path / "versions.json").unlink()
    again, x = ew.History(tmp_path), sample(10)
    assert again[2].note == "0002.safetensors cannot be read"
    assert torch.equal(again.checkout(3)(x), models[2](x))
    with pytest.raises(ew.FormatError, match="cannot be read"):
        again.checkout(2)
    assert again.add(models[0]) == 4


@pytest.mark.parametrize("at", ["save", "write"])
def test_a_process_that_is_killed_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    _fill(ew.History(tmp_path))

    class Killed(BaseException):
        pass

    def die(*arguments: Any, **settings: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:  # before the file is there, or before the list is
        patch.setattr(_history, at, die)
        with pytest.raises(Killed):
            ew.History(tmp_path).add(ew.KAN([2, 1]), "the last")
    again = ew.History(tmp_path)
    assert [v.note for v in again][:3] == ["first", "refined", "branched off"]
    assert [v.note for v in again][3:] == (["the last"] if at == "write" else [])
    assert again.add(ew.KAN([2, 1])) == len(again)


_WRITER = """
import sys
sys.meta_path = [f for f in sys.meta_path if "skbc" not in type(f).__module__]  # this copy's own
import torch, edgewise as ew
history = ew.History(sys.argv[1])
for k in range(12):
    model = ew.KAN([1, 1])
    with torch.no_grad():
        model.parts()[0][0].coef.fill_(k)
    history.add(model, note=f"{sys.argv[2]} {k}")
"""


def test_two_processes_add_to_one_folder(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), who], env=environment)
        for who in ("one", "two")
    ]
    assert [process.wait() for process in running] == [0, 0]
    history = ew.History(tmp_path)
    assert len(history) == 24
    assert {v.note for v in history} == {f"{who} {k}" for who in ("one", "two") for k in range(12)}
    for who in ("one", "two"):  # each one's versions hang on its own
        own = [v for v in history if v.note.startswith(who)]
        assert [v.parent for v in own[1:]] == [v.id for v in own[:-1]]
        for k, version in enumerate(own):
            assert float(history.checkout(version.id).parts()[0][0].coef.detach().max()) == k
    assert len(json.loads((tmp_path / "versions.json").read_text())["versions"]) == 24
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_versions_of_another_process_appear(tmp_path: Path) -> None:
    one, other = ew.History(tmp_path), ew.History(tmp_path)
    one.add(ew.KAN([2, 1]), "by one")
    assert [v.note for v in other] == ["by one"]
    assert other.current is None
    assert other.add(ew.KAN([2, 1]), "by the other", parent=1) == 2
    assert [v.note for v in one] == ["by one", "by the other"]
    assert one.current == 1


def test_without_links_a_name_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    history = ew.History(tmp_path)
    models, x = _fill(history), sample(10)
    assert torch.equal(ew.History(tmp_path).checkout(3)(x), models[2](x))


def test_a_folder_of_something_else_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ew.ConfigError, match="is not empty and holds no versions"):
        ew.History(tmp_path)
    with pytest.raises(ew.ConfigError, match=r"notes\.txt is a file"):
        ew.History(tmp_path / "notes.txt")


def test_primitives_of_one_s_own_need_the_library(tmp_path: Path) -> None:
    sine = ew.PRIMITIVES["sin"]
    mine = dataclasses.replace(sine, name="mine")
    model, x = ew.KAN([2, 1]), sample(10)
    numbers = torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=torch.float64)
    model.parts()[0][0].lock(0, 1, Lock(mine, numbers))
    ew.History(tmp_path).add(model)
    knows = ew.History(tmp_path, library=ew.PRIMITIVES.plus(mine))
    assert torch.equal(knows.checkout(1)(x), model(x))
    with pytest.raises(ew.FormatError, match="'mine', which is not in the library"):
        ew.History(tmp_path).checkout(1)
