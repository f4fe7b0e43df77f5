"""The Python of the README and of the docs' first page runs, and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_python_blocks_run(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks, f"{page} shows no Python"
    monkeypatch.chdir(tmp_path)
    x = 2 * torch.rand(1000, 2, dtype=torch.float64) - 1  # for a page that begins with data
    y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
    for block in blocks:
        exec(compile(block, page, "exec"), {"x": x, "y": y})
        promised = re.findall(r"print\(.*\)\s*# (.*)", block)
        assert capsys.readouterr().out.splitlines() == promised


def test_readme_fits_a_page() -> None:
    assert len(README.read_text().splitlines()) <= 120
