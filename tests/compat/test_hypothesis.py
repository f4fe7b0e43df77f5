"""Tests of structure, on functions whose structure is known."""

from typing import Any

import pytest
import sympy
import torch

from edgewise import ConfigError
from edgewise.compat.pykan import MLP, _hypothesis


def mixed(x: torch.Tensor) -> torch.Tensor:
    return x[:, [0]] ** 2 * (x[:, [1]] + x[:, [2]])


def nested(x: torch.Tensor) -> torch.Tensor:
    one = (x[:, [0]] ** 2 + x[:, [1]] ** 2) ** 2 + (x[:, [2]] ** 2 + x[:, [3]] ** 2) ** 2
    other = (x[:, [4]] ** 2 + x[:, [5]] ** 2) ** 2 + (x[:, [6]] ** 2 + x[:, [7]] ** 2) ** 2
    return one**2 + other**2


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(100, 3) + 0.5


def test_separability(x: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    found = _hypothesis.detect_separability(mixed, x, mode="mul")
    assert capsys.readouterr().out == "mul separability detected\n"
    assert found["n_groups"] == 2
    assert found["groups"] == [[0], [1, 2]]
    assert found["labels"] == [0, 1, 1]
    found = _hypothesis.detect_separability(mixed, x, mode="add")
    assert found["groups"] == [[0], [1], [2]] or found["n_groups"] == 1
    assert "add separability" in capsys.readouterr().out
    # of f the second derivatives in standard deviations: 2 (b + c), 2 a, 2 a, and none in b, c
    std = x.std(0)
    expected = (2 * (x[:, 1] + x[:, 2])).median() * std[0] ** 2
    assert float(found["hessian"][0, 0]) == pytest.approx(float(expected), rel=1e-4)
    assert float(found["hessian"][1, 2]) == pytest.approx(0, abs=1e-6)


def test_nothing_separates(x: torch.Tensor) -> None:
    """pykan raises a KeyError here."""
    f = lambda x: (x[:, [0]] * x[:, [1]] + x[:, [1]] * x[:, [2]] + x[:, [0]] * x[:, [2]]).exp()  # noqa: E731
    found = _hypothesis.detect_separability(f, x, mode="add", n_clusters=3)
    assert found["n_groups"] == 1
    assert found["groups"] == [[0, 1, 2]]


def test_number_of_groups() -> None:
    x = torch.rand(200, 4, dtype=torch.float64) + 0.5
    f = lambda x: x[:, [0]] * x[:, [1]] + x[:, [2]] * x[:, [3]]  # noqa: E731
    for n_clusters, expected in (([1, 4], 2), (2, 2), ([1, 1], 1)):
        found = _hypothesis.detect_separability(f, x, n_clusters=n_clusters)
        assert found["n_groups"] == expected
    with pytest.raises(ConfigError, match="mode"):
        _hypothesis.detect_separability(f, x, mode="sum")


def test_bias(x: torch.Tensor) -> None:
    f = lambda x: x[:, [0]] * x[:, [1]] * x[:, [2]] - 3  # noqa: E731
    groups = [[0], [1], [2]]
    assert _hypothesis.test_separability(f, x, groups, mode="mul", bias=3.0)
    assert not _hypothesis.test_separability(f, x, groups, mode="mul")


def test_groups_of_ones_own(x: torch.Tensor) -> None:
    assert _hypothesis.test_separability(mixed, x, [[0], [1, 2]], mode="mul")
    assert not _hypothesis.test_separability(mixed, x, [[0], [1, 2]], mode="add")
    assert not _hypothesis.test_separability(mixed, x, [[1], [0, 2]], mode="mul")
    f = lambda x: x[:, [0]] ** 2 * (x[:, [1]] ** 2 + x[:, [2]] ** 2) ** 2  # noqa: E731
    assert _hypothesis.test_general_separability(f, x, [[0], [1, 2]])
    assert not _hypothesis.test_general_separability(f, x, [[1], [0, 2]])
    assert _hypothesis.test_symmetry(mixed, x, [1, 2])
    assert not _hypothesis.test_symmetry(mixed, x, [0, 2])
    assert _hypothesis.test_symmetry(mixed, x, [0, 1, 2])


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_do_not_matter(x: torch.Tensor, unit: float) -> None:
    """pykan calls every small function separable, and no large one."""
    f = lambda x: unit * mixed(x)  # noqa: E731
    assert not _hypothesis.test_separability(f, x, [[0], [1, 2]], mode="add")
    sums = lambda x: unit * (x[:, [0]] ** 3 + x[:, [1]] * x[:, [2]])  # noqa: E731
    assert _hypothesis.test_separability(sums, x, [[0], [1, 2]], mode="add")


def test_dependence_is_that_of_pykan() -> None:
    """Printed by pykan 0.2.8 for these rows."""
    rows = [
        [0.9962566, 1.2682219, 0.5884774],
        [0.6320305, 0.8074229, 1.1340787],
        [0.9900934, 1.3964448, 0.955628],
        [1.1323063, 0.8488935, 0.9017173],
        [0.5223258, 0.668859, 0.7938884],
        [1.0185218, 1.1976676, 1.3000114],
        [0.6610295, 0.7822686, 1.1816086],
    ]
    x = torch.tensor(rows)
    turned = _hypothesis.batch_grad_normgrad(mixed, x[:2], [0, 1])
    expected = torch.tensor([[[0.03492857], [-0.13019043]], [[0.01312122], [-0.08061166]]])
    torch.testing.assert_close(turned, expected, rtol=1e-4, atol=1e-6)
    dependence = _hypothesis.get_dependence(mixed, x, [0, 1])
    torch.testing.assert_close(
        dependence, torch.tensor([[0.00103067], [0.00585141]]), rtol=1e-3, atol=1e-6
    )
    assert float(_hypothesis.get_dependence(mixed, x, [1, 2]).max()) < 1e-6


def test_symmetry_of_ones_own(x: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    symbols = a, b, c = sympy.symbols("a b c")
    cosines = _hypothesis.test_symmetry_var(mixed, x, symbols, b + c)
    torch.testing.assert_close(cosines, torch.ones(100))
    assert capsys.readouterr().out.endswith("\nsuggesting symmetry\n")
    _hypothesis.test_symmetry_var(mixed, x, symbols, a - b)
    assert capsys.readouterr().out.endswith("\nnot suggesting symmetry\n")


def test_tree(capsys: pytest.CaptureFixture[str]) -> None:
    """The example of pykan's documentation, with the levels it states."""
    import matplotlib.pyplot as plt

    x = torch.randn(100, 8, dtype=torch.float64)
    levels = _hypothesis.get_molecule(nested, x, verbose=False)
    assert capsys.readouterr().out == ""
    assert levels == [
        [[i] for i in range(8)],
        [[0, 1], [2, 3], [4, 5], [6, 7]],
        [[0, 1, 2, 3], [4, 5, 6, 7]],
        [list(range(8))],
    ]
    arities, properties = _hypothesis.get_tree_node(nested, x, levels, skip_test=False)
    assert arities == [[2, 2, 2, 2], [2, 2], [2]]
    assert properties == [["GS"] * 4, ["GS"] * 2, ["Add"]]
    figure = _hypothesis.plot_tree(nested, x, in_var=[f"q_{i}" for i in range(8)])
    assert figure is plt.gcf()
    words = _words(figure)
    assert words["input"] == [f"$q_{{{i}}}$" for i in range(8)]
    assert words["operation"].count("+") == 1
    assert words["operation"].count("f(+)") == 6
    plt.close(figure)
    figure = _hypothesis.plot_tree(nested, x, style="box", skip_sep_test=True)
    assert _words(figure)["operation"] == ["f"] * 7
    plt.close(figure)
    with pytest.raises(ConfigError, match="style"):
        _hypothesis.plot_tree(nested, x, style="round")


def _words(figure: Any) -> dict[str, list[str]]:
    """The texts of a tree by what they say, from the left and from below."""
    found: dict[str, list[str]] = {}
    for text in figure.axes[0].texts:
        found.setdefault(str(text.get_gid()).partition("-")[0], []).append(text.get_text())
    return found


@pytest.mark.parametrize(("sep_th", "sign"), [(1e-1, "+"), (1e-5, "f")])
def test_joins_are_tested_up_to_their_own_score(sep_th: float, sign: str) -> None:
    import matplotlib.pyplot as plt

    def nearly_a_sum(x: torch.Tensor) -> torch.Tensor:
        return x[:, [0]] ** 2 + x[:, [1]] ** 3 + 3e-3 * torch.sin(x[:, [0]] * x[:, [1]])

    x = torch.rand(200, 2, dtype=torch.float64) * 2 - 1
    figure = _hypothesis.plot_tree(nearly_a_sum, x, sym_th=1e-4, sep_th=sep_th)
    assert _words(figure)["operation"] == [sign]
    plt.close(figure)


def test_perceptron_has_a_tree() -> None:
    import matplotlib.pyplot as plt

    model = MLP([3, 4, 1])
    plt.close(model.tree(torch.rand(50, 3)))
