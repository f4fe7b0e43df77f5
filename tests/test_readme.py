"""The README's Python runs, and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def test_python_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks, "the README shows no Python"
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})
        promised = re.findall(r"print\(.*\)\s*# (.*)", block)
        assert capsys.readouterr().out.splitlines() == promised


def test_readme_fits_a_page() -> None:
    assert len(README.read_text().splitlines()) <= 120
