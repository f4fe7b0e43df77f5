"""The report of a run: complete, self-contained, and safe with any names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

import edgewise as ew
from edgewise._report import Run, Settings, run, write
from edgewise._table import read, split

AWKWARD = "<img src=x onerror=alert(1)>"
COMMAND = ["edgewise", "fit", "my table.csv", "--target", "y"]


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Fit y = sin(3 a) + b^2; one of the columns has a name that is markup."""
    x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    y = np.sin(3 * x[:, 0]) + x[:, 1] ** 2
    path = tmp_path_factory.mktemp("law") / "law.csv"
    table = np.column_stack([x, y])
    np.savetxt(path, table, "%.17g", delimiter=",", header=f"a,{AWKWARD},y", comments="")
    return run(read(path), Settings("y", widths=(2, 1), time=20))


class Reader(HTMLParser):
    """Checks that tags close, and collects tags, addresses and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in ("img", "meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_run_finds_the_law_and_measures_it(law: Run) -> None:
    assert str(law.formula and law.formula.expr) == "x_2**2 + sin(3*x_1)"
    assert law.is_explained
    assert "A short formula explains the data" in law.verdict
    assert [score.name for score in law.scores] == [
        "edgewise network",
        "edgewise formula",
        "linear model",
        "gradient boosting",
    ]
    with torch.no_grad():
        own = float((law.model(law.rows.x_test) - law.rows.y_test).square().mean().sqrt())
    assert law.scores[0].rmse == pytest.approx(own)
    assert len(law.rows.x) + len(law.rows.x_choose) + len(law.rows.x_test) == 200


def test_the_folder_is_complete(law: Run, tmp_path: Path) -> None:
    files = write(law, tmp_path / "deep" / "run", COMMAND)
    assert sorted(file.name for file in files) == sorted(
        file.name for file in (tmp_path / "deep" / "run").iterdir()
    )
    for picture in (file for file in files if file.suffix == ".png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    model = ew.load(tmp_path / "deep" / "run" / "model.safetensors")
    assert torch.equal(model(law.rows.x_test), law.model(law.rows.x_test))
    notes = ew.read_notes(tmp_path / "deep" / "run" / "model.safetensors")
    assert json.loads(notes["inputs"]) == ["a", AWKWARD]
    settings = json.loads((tmp_path / "deep" / "run" / "settings.json").read_text())
    assert settings["command"] == COMMAND
    assert settings["seed"] == 0
    assert settings["results"]["formula"] == ["x_2**2 + sin(3*x_1)"]
    assert r"\sin" in (tmp_path / "deep" / "run" / "formula.tex").read_text()


def test_the_page_stands_alone_and_nothing_in_it_runs(law: Run, tmp_path: Path) -> None:
    write(law, tmp_path, COMMAND)
    found = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert found.addresses
    assert all(address.startswith("data:image/png;base64,") for address in found.addresses)
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    assert found.tags.count("img") == 3
    assert AWKWARD in found.text
    assert "edgewise fit 'my table.csv' --target y" in found.text
    for score in law.scores:
        assert score.name in found.text
        assert f"{score.rmse:.4g}".replace("-", "−") in found.text


def test_a_law_that_the_network_does_not_give_is_searched_for(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(1, 5, (200, 3))
    y = 6.674 * x[:, 0] * x[:, 1] / x[:, 2] ** 2  # no sum of functions, as the network has to be
    table = np.column_stack([x, y])
    np.savetxt(tmp_path / "t.csv", table, "%.7g", delimiter=",", header="m,n,r,F", comments="")
    found = run(read(tmp_path / "t.csv"), Settings("F", widths=(3, 1), time=20))
    assert found.searched
    assert found.is_explained
    assert str(found.formula).startswith("6.674*x_1*x_2/x_3**2")
    assert found.scores[1].rmse < 1e-3 * found.scores[0].rmse
    write(found, tmp_path / "run", COMMAND)
    page = Reader((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert "searched for in the rows" in page.text
    assert "1 fitted constant, with" in page.text


def test_without_a_formula_the_page_says_why(law: Run, tmp_path: Path) -> None:
    without = replace(
        law, formula=None, formula_note="None was found.", scores=(law.scores[0], *law.scores[2:])
    )
    write(without, tmp_path, COMMAND)
    assert "None was found." in Reader((tmp_path / "report.html").read_text()).text
    assert (tmp_path / "formula.tex").read_text() == "% None was found.\n"


def test_a_formula_that_is_far_worse_than_the_network_explains_nothing(law: Run) -> None:
    poor = replace(law.scores[1], rmse=0.1)
    worse = replace(law, scores=(law.scores[0], poor, *law.scores[2:]))
    assert not worse.is_explained
    assert "the best that was found has an error of 0.1" in worse.verdict
    nowhere = replace(law, scores=(law.scores[0], replace(poor, rmse=float("inf"))))
    assert "has no value on some of the test rows" in nowhere.verdict


@pytest.mark.parametrize(
    ("widths", "said"),
    [((3, 1), "from the 2 inputs"), ((2, 5, 2), "to the one output"), ((2,), "--widths 2,")],
)
def test_widths_have_to_suit_the_table(law: Run, widths: tuple[int, ...], said: str) -> None:
    with pytest.raises(ew.ConfigError, match=said):
        run(read(law.table), Settings("y", widths=widths))


def test_an_input_that_varies_in_the_test_rows_only_is_named(tmp_path: Path) -> None:
    _, test = split(40, share=0.2, seed=0)
    odd = int(test[0])  # the one row that differs
    lines = ["a,b,y", *(f"{i},{int(i == odd)},{i * i}" for i in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(ew.DataError, match=r"Column 'b' .* hardly ever differs"):
        run(read(tmp_path / "t.csv"), Settings("y"))
