"""Checkpoints that pykan 0.2.8 wrote, with what it computed, and our own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgewise import ConfigError, FormatError
from edgewise.compat.pykan import KAN

FILES = Path(__file__).parents[1] / "data" / "pykan"


@pytest.mark.parametrize("name", ["sum_and_product", "uneven"])
def test_what_pykan_wrote_predicts_as_pykan_did(name: str) -> None:
    expected = torch.load(FILES / f"{name}_expected", weights_only=True)
    model = KAN.loadckpt(str(FILES / name))
    torch.testing.assert_close(model(expected["x"]), expected["y"], rtol=2e-5, atol=2e-5)


def test_scores_and_penalty_are_those_of_pykan() -> None:
    expected = torch.load(FILES / "sum_and_product_expected", weights_only=True)
    model = KAN.loadckpt(str(FILES / "sum_and_product"))
    model(expected["x"])
    model.attribute()
    for name in ("edges", "nodes"):
        ours = getattr(model, f"{name[:-1]}_scores")
        for score, theirs in zip(ours, expected[name], strict=True):
            torch.testing.assert_close(score, theirs, rtol=2e-3, atol=1e-4)
    penalty = model.get_reg("edge_forward_spline_n", 1.0, 2.0, 0.5, 0.25)
    torch.testing.assert_close(penalty, expected["reg"], rtol=1e-4, atol=1e-4)
    assert model.symbolic_fun[0].funs_name[0][1] == "x^2"


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    model = KAN(width=[3, [2, 1], 1], grid=4, k=2, seed=5)
    x = torch.rand(20, 3) * 2 - 1
    model(x)
    model.fix_symbolic(0, 1, 0, "sin", fit_params_bool=False)
    before = model(x)
    model.saveckpt(str(tmp_path / "model"))
    again = KAN.loadckpt(str(tmp_path / "model"))
    torch.testing.assert_close(again(x), before)
    assert again.symbolic_fun[0].funs_name[0][1] == "sin"


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model_config.yml").write_text("width: [2, 1]\n")
    torch.save({}, tmp_path / "model_state")
    with pytest.raises(FormatError):
        KAN.loadckpt(str(tmp_path / "model"))


def test_states_are_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = KAN(width=[2, 2, 1], seed=0)
    x = torch.rand(10, 2)
    first = model(x)
    model.remove_edge(0, 0, 0)
    assert not torch.equal(model(x), first)
    torch.testing.assert_close(model.checkout("0.0")(x), first)
    back = model.rewind("0.0")
    assert (back.round, back.state_id) == (1, 0)
    torch.testing.assert_close(back(x), first)
    torch.testing.assert_close(model.copy()(x), model(x))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=r"0\.0"):
        model.checkout("7.7")


def test_states_are_written_where_a_folder_is_given(tmp_path: Path) -> None:
    model = KAN(width=[2, 1], ckpt_path=str(tmp_path / "states"))
    model.remove_edge(0, 0, 0)
    assert (tmp_path / "states" / "0.1_state").exists()
    assert "remove_edge" in (tmp_path / "states" / "history.txt").read_text()
