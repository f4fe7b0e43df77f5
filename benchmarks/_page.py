"""Where results go: a table and a picture for each study, in docs/benchmarks."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"


def write(name: str, title: str, text: str, header: list[str], rows: list[list[str]]) -> None:
    """Write a page of one study with its table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows)]
    machine = (
        f"Measured with PyTorch {torch.__version__} on {torch.get_num_threads()} threads of a "
        f"{platform.machine()} machine by `python -m benchmarks.{name}`."
    )
    page = "\n\n".join([f"# {title}", text, "\n".join(table), machine]) + "\n"
    (FOLDER / f"{name}.md").write_text(page)
