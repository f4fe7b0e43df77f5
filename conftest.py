"""What tests and examples share: run-time shape checks, seeds, and the names that examples use."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

# before the first import of edgewise. The tower lets an int stand for a float (PEP 484), and
# beartype knows `Self` only in classes that it decorates as a whole
if os.environ.get("JAXTYPING_DISABLE", "0") != "1":
    install_import_hook(
        "edgewise",
        "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True, "
        "hint_overrides=beartype.FrozenDict({beartype.typing.Self: object})))",
    )

settings.register_profile("repeatable", deadline=None, max_examples=25, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("repeatable")

torch.set_num_threads(1)  # the tensors of tests are small


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Let every test draw the same numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def names_of_examples(request: pytest.FixtureRequest) -> None:
    """Give every example `ew`, `torch`, `sympy`, a network `model`, inputs `x`, and `tmp_path`."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    import sympy

    import edgewise as ew

    namespace: dict[str, Any] = request.getfixturevalue("doctest_namespace")
    torch.manual_seed(0)
    namespace.update(
        ew=ew,
        torch=torch,
        sympy=sympy,
        model=ew.KAN([2, 5, 1]),
        x=2 * torch.rand(100, 2, dtype=torch.float64) - 1,
        tmp_path=request.getfixturevalue("tmp_path"),
    )
