"""Where results go: a table and a picture for each study, in docs/benchmarks."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown."""
    return "\n".join(
        "| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows)
    )


def write(
    name: str, title: str, text: str, header: list[str], rows: list[list[str]], after: str = ""
) -> None:
    """Write a page of one study with its table, and what comes after it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    machine = (
        f"Measured with PyTorch {torch.__version__} on {torch.get_num_threads()} threads of a "
        f"{platform.machine()} machine by `python -m benchmarks.{name}`."
    )
    parts = [f"# {title}", text, table(header, rows), after, machine]
    page = "\n\n".join(part for part in parts if part) + "\n"
    (FOLDER / f"{name}.md").write_text(page)
