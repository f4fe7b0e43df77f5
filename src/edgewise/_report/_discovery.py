"""One search for formulas: the front for a table, measured on rows kept back, as a folder."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from edgewise import plot
from edgewise._errors import ConfigError, DataError
from edgewise._report._pictures import png
from edgewise._report._run import TEST_SHARE, Interrupted, versions
from edgewise._symbolic._formula import escape, shorten
from edgewise._table import Table, split
from edgewise.export import to_c, to_python


@dataclass(frozen=True)
class Question:
    """What the user asked for.

    Attributes:
        target: The column to explain.
        inputs: The columns to explain it by; all others by default.
        units: The unit of each column that has one, by name.
        seed: The seed of all random choices.
        time: About how many seconds the search may take.
    """

    target: str
    inputs: tuple[str, ...] | None = None
    units: dict[str, str] | None = None
    seed: int = 0
    time: float = 60.0


@dataclass(frozen=True)
class Answer:
    """A formula of the front.

    Attributes:
        formula: The formula.
        text: It as a line, with the names of the columns.
        test: Its root mean square error on the rows kept back; infinite where it has no value.
    """

    formula: Any = field(repr=False)
    text: str
    test: float

    @property
    def complexity(self) -> int:
        """How many parts it has."""
        return self.formula.complexity

    @property
    def rmse(self) -> float:
        """Its error on the rows that chose."""
        return self.formula.rmse


@dataclass(frozen=True)
class Discovery:
    """What came out.

    Attributes:
        question: What was asked for.
        table: The path of the table.
        sha256: The digest of its content.
        inputs: The names of the inputs.
        rows: How many rows were searched, and how many were kept back.
        answers: The front, the simplest first.
        chosen: The one that the search chose.
        spread: The standard deviation of the target on the rows kept back.
        front: What `discover` returned.
    """

    question: Question
    table: Path
    sha256: str
    inputs: tuple[str, ...]
    rows: tuple[int, int]
    answers: tuple[Answer, ...]
    chosen: Answer
    spread: float
    front: Any = field(repr=False)


def ask(
    table: Table, question: Question, *, watch: bool | Callable[[Any], None] = False
) -> Discovery:
    """Search for formulas.

    Args:
        table: The data.
        question: What to look for.
        watch: Whether to show a progress bar, or what is given the front as it grows.

    Returns:
        The front, with errors on rows that the search has not seen.

    Raises:
        DataError: If the table is not fit for it, or nothing was found.
        ConfigError: If a setting is not accepted.
        Interrupted: If the user stopped it before there was a formula.
    """
    from edgewise._symbolic import discover

    inputs = table.inputs(question.target, question.inputs)
    units = _units(question, inputs)
    x, y = table.select(question.target, inputs)
    learn, test = split(len(x), share=TEST_SHARE, seed=question.seed)
    try:
        front = discover(
            x[learn],
            y[learn],
            names=inputs,
            time=question.time,
            seed=question.seed,
            progress=watch,
            units=units,
        )
    except KeyboardInterrupt:
        raise Interrupted from None
    answers = []
    for formula in sorted(front, key=lambda formula: formula.complexity):
        with torch.no_grad():
            off = (formula(x[test]) - y[test]).square().mean().sqrt()
        error = float(off) if math.isfinite(off) else math.inf
        answers.append(Answer(formula, line(formula), error))
    if not answers:
        raise DataError(f"No formula was found in {question.time:g} s. Give it more --time.")
    best = getattr(front, "best", None)
    chosen = next((a for a in answers if a.formula is best), None)
    return Discovery(
        question=question,
        table=table.path,
        sha256=hashlib.sha256(table.path.read_bytes()).hexdigest(),
        inputs=inputs,
        rows=(len(learn), len(test)),
        answers=tuple(answers),
        chosen=chosen or min(answers, key=lambda answer: answer.rmse),
        spread=float(y[test].std(correction=0)),
        front=front,
    )


def line(formula: Any) -> str:
    """Write a formula as a line, with the names of its inputs, numbers to six digits."""
    import sympy

    named = {
        symbol: sympy.Symbol(name, real=True)
        for symbol, name in zip(formula.symbols, formula.names, strict=True)
    }
    return str(shorten(formula.expr).xreplace(named))


def write_discovery(found: Discovery, folder: Path, command: Sequence[str]) -> list[Path]:
    """Write the front as a table, as LaTeX, Python and C, and its picture.

    Args:
        found: What to write.
        folder: Where; it is made if need be, and files of an earlier run are replaced.
        command: The command line that repeats it.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "front.csv": _csv(found.answers),
        "front.json": json.dumps(_facts(found, command), indent=2, ensure_ascii=False) + "\n",
        "formulas.tex": _tex(found),
        "formulas.py": _python(found),
        "formulas.c": _c(found),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    formulas = [answer.formula for answer in found.answers]
    picture = plot.front(formulas, best=found.chosen.formula)
    (folder / "front.png").write_bytes(png(picture))
    return [folder / name for name in (*files, "front.png")]


def _units(question: Question, inputs: tuple[str, ...]) -> list[str] | None:
    """The unit of each input, then that of the target."""
    if question.units is None:
        return None
    columns = [*inputs, question.target]
    for name in question.units:
        if name not in columns:
            raise ConfigError(f"--units names {name!r}, and the columns are {', '.join(columns)}.")
    missing = [name for name in columns if name not in question.units]
    if missing:
        raise ConfigError(
            f"--units has to name the unit of every column, and {', '.join(missing)} has none. "
            'Write 1 for a pure number: --units "x=m,n=1".'
        )
    return [question.units[name] for name in columns]


def _csv(answers: Iterable[Answer]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["complexity", "rmse", "test_rmse", "formula"])
    for a in answers:
        writer.writerow([a.complexity, repr(a.rmse), repr(a.test), a.text])
    return text.getvalue()


def _facts(found: Discovery, command: Sequence[str]) -> dict[str, Any]:
    """The front, and everything that it takes to repeat the search."""
    question = found.question
    return {
        "command": list(command),
        "table": {"path": str(found.table), "sha256": found.sha256},
        "target": question.target,
        "inputs": list(found.inputs),
        "units": question.units,
        "seed": question.seed,
        "time": question.time,
        "rows": {"searched": found.rows[0], "test": found.rows[1]},
        "spread": found.spread,
        "versions": versions(),
        "front": [
            {
                "complexity": answer.complexity,
                "rmse": _number(answer.rmse),
                "test_rmse": _number(answer.test),
                "formula": answer.text,
                "expression": str(answer.formula.expr),
                "chosen": answer is found.chosen,
            }
            for answer in found.answers
        ],
    }


def _number(value: float) -> float | None:
    """JSON knows no infinity."""
    return value if math.isfinite(value) else None


def _heading(answer: Answer, found: Discovery) -> str:
    chosen = ", chosen" if answer is found.chosen else ""
    return f"complexity {answer.complexity}, test RMSE {answer.test:.4g}{chosen}"


def _tex(found: Discovery) -> str:
    name = escape(found.question.target)
    lines = []
    for answer in found.answers:
        lines.append(f"% {_heading(answer, found)}")
        lines.append(rf"\[ \mathrm{{{name}}} = {answer.formula.latex()} \]")
    return "\n".join(lines) + "\n"


def _functions(found: Discovery, write: Any, comment: str) -> list[str]:
    """A function for each formula: formula_1, formula_2, ..."""
    sources = []
    for number, answer in enumerate(found.answers, 1):
        words = f"formula_{number}: {_heading(answer, found)}"
        formula = answer.formula
        try:
            source = write(
                formula.expr, formula.symbols, names=found.inputs, name=f"formula_{number}"
            )
        except ConfigError as error:
            source, words = "", f"{words}; no code: {error}"
        sources.append(comment.format(" ".join(words.split()).replace("*/", "* /")) + source)
    return sources


def _python(found: Discovery) -> str:
    """One module: what several formulas need stands there once."""
    blocks = ["import math"]
    for source in _functions(found, to_python, "# {}\n"):
        heading, _, code = source.partition("\n")
        head, *rest = code.removeprefix("import math\n\n\n").rstrip("\n").split("\n\n\n")
        blocks.append(f"{heading}\n{head}".rstrip())
        blocks += rest
    return "\n\n\n".join(dict.fromkeys(blocks)) + "\n"


def _c(found: Discovery) -> str:
    include = "#include <math.h>\n\n"
    sources = _functions(found, to_c, "/* {} */\n")
    return include + "\n".join(source.replace(include, "") for source in sources)
