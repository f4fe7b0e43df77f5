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


def test_each_state_comes_back_whatever_led_to_it() -> None:
    model = KAN(width=[2, [2, 1], 1], grid=3, seed=0)
    x = torch.rand(30, 2) * 2 - 1
    changes = [
        lambda m: m.fix_symbolic(0, 1, 0, "sin", fit_params_bool=False),
        lambda m: m.fix_symbolic(0, 0, 1, lambda v: v**3, fit_params_bool=False, verbose=False),
        lambda m: m.remove_edge(0, 0, 0),
        lambda m: m.expand_width(1, 1),
        lambda m: m.expand_depth(),
        lambda m: m.unfix_symbolic(0, 1, 0),
    ]
    expected = {"0.0": model(x)}
    for state, change in enumerate(changes, 1):
        change(model)
        expected[f"0.{state}"] = model(x)
    finer = model.refine(6)  # it goes on in the same history
    expected["0.7"] = finer(x)
    for twin in (model, finer):
        for number, y in expected.items():
            back = twin.checkout(number)
            assert f"{back.round}.{back.state_id}" == number
            assert torch.equal(back(x), y)
            for parameter in back.parameters():  # what is done to a copy stays there
                parameter.data.fill_(0.5)
            back.width[0][0] = 7
            back.symbolic_fun[0].funs_name[0][0] = "other"
            assert torch.equal(twin.checkout(number)(x), y)


def test_states_share_what_does_not_change() -> None:
    model = KAN(width=[2, 2, 1], grid=3, seed=0)
    x = torch.rand(50, 2)
    dataset = {"train_input": x, "train_label": x[:, :1] * x[:, 1:]}
    dataset |= {"test_input": x, "test_label": dataset["train_label"]}
    model(x)
    assert model.cache_data is not None
    assert model.cache_data.data_ptr() == x.data_ptr()  # nothing to convert
    for _ in range(4):
        model.fit(dataset, steps=1)
    states = model.versions[2:]  # those of a network that was trained
    assert len({id(version.form) for version in states}) == 1
    assert len({version.data.data_ptr() for version in model.versions[1:]}) == 1
    assert model.cache_data is states[-1].data
    numbers = sum(parameter.numel() for parameter in model.parameters())
    assert all(version.values.numel() == numbers for version in states)
    assert not torch.equal(states[0].values, states[1].values)


def test_the_record_says_what_led_to_what(capsys: pytest.CaptureFixture[str]) -> None:
    model = KAN(width=[2, 1])
    model.remove_edge(0, 0, 0)
    model.rewind("0.0").remove_edge(0, 1, 0)
    model.history()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "init => 0.0",
        "0.0 => remove_edge => 0.1",
        "### Round 1 ###",
        "1.0 => remove_edge => 1.1",
    ]
    model.history(1)
    assert capsys.readouterr().out == lines[-1] + "\n"


def test_states_are_written_where_a_folder_is_given(tmp_path: Path) -> None:
    model = KAN(width=[2, 1], ckpt_path=str(tmp_path / "states"))
    model.remove_edge(0, 0, 0)
    assert (tmp_path / "states" / "0.1_state").exists()
    assert "remove_edge" in (tmp_path / "states" / "history.txt").read_text()
