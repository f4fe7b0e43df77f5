"""What `discover` returns: formulas from plain to exact, and which of them to believe."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, overload

from edgewise._symbolic._formula import Formula, shorten

_ACCURATE = 1e-6
"""The error, as a share of the spread of y, of a formula that is right but for an error of y."""


@dataclass(frozen=True)
class Front:
    """Formulas of growing complexity and falling error; none is beaten in both by another.

    It is a sequence of formulas, the plainest first.

    Attributes:
        formulas: The formulas.
        choice: The place of the best one: by its error, its length and its constants together.
        found: Whether the best formula explains the data, exactly or up to what cannot be told
            from noise, and no other law does so nearly as well. If not, no law is claimed; in noise
            neither is one of several fitted constants where the search was cut off.
        exact: Whether it is right on all rows to the rounding of float64.
        to_digits: Whether it is not, but as right as can be told from numbers that are written with
            so many digits, 5 to 12, or in float32.
        noise: The estimated standard deviation of the noise on y; zero if the law is exact, NaN if
            the best formula leaves more than noise.
        finished: Whether the search went to its end, and was not cut off by the time or by Ctrl-C.
        seconds: How long it took.
        rivals: Other laws, which the rows cannot tell from the best formula: more rows, rows from
            further out or less noise are needed to choose.
        hybrid: Where no law was found, a formula in which some functions of one input stay numeric,
            if it errs less than half as much as the best one. It is no law, and not in the front.
    """

    formulas: tuple[Formula, ...]
    choice: int
    found: bool
    exact: bool
    noise: float
    finished: bool
    seconds: float = field(compare=False)
    rivals: tuple[Formula, ...] = ()
    hybrid: Formula | None = None
    to_digits: bool = False

    @property
    def best(self) -> Formula:
        """The formula to believe, if one was found."""
        return self.formulas[self.choice]

    def __len__(self) -> int:
        return len(self.formulas)

    def __iter__(self) -> Iterator[Formula]:
        return iter(self.formulas)

    @overload
    def __getitem__(self, place: int) -> Formula: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Formula, ...]: ...
    def __getitem__(self, place: int | slice) -> Any:
        return self.formulas[place]

    def rows(self) -> list[dict[str, Any]]:
        """The table as a list of rows, which `pandas.DataFrame` takes as it is."""
        return [
            {
                "complexity": f.complexity,
                "rmse": f.rmse,
                "r2": f.r2,
                "formula": str(shorten(f.expr)),
                "best": n == self.choice,
            }
            for n, f in enumerate(self.formulas)
        ]

    @property
    def verdict(self) -> str:
        """Whether a law was found, in a sentence."""
        if self.exact:
            return "The marked formula is exact: it misses no row by more than rounding."
        if self.found and self.to_digits:
            return (
                "The marked formula is right to the digits of the table: it misses y by "
                f"{self.noise:.2g}, which is what rounding accounts for."
            )
        if self.found:
            return f"The marked formula leaves what looks like noise, of size {self.noise:.2g}."
        if self.rivals:
            others = " or ".join(str(shorten(f.expr, 3)) for f in self.rivals[:3])
            return (
                "No law is claimed: what the marked formula leaves looks like noise, but the rows "
                f"do not tell it from {others}."
            )
        if not self.best.expr.free_symbols:
            return "No law was found: no formula of the inputs is better than the mean."
        if self.best.rmse <= _ACCURATE * self.best.spread:
            share = self.best.rmse / self.best.spread
            return (
                f"The marked formula is right to {share:.0e} of the spread of y, but not exact: "
                "what it leaves is neither rounding nor noise. The rows may have a smooth error of "
                "this size, as from a numerical solution."
            )
        if not self.finished:
            return "No law was found so far: the search was cut off before its end."
        return "No law was found: what the marked formula leaves is not noise."

    def __str__(self) -> str:
        lines = ["  complexity       rmse  formula"]
        for row in self.rows():
            mark = ">" if row["best"] else " "
            lines.append(f"{mark} {row['complexity']:>10} {row['rmse']:>10.2g}  {row['formula']}")
        best = self.best
        legend = [
            f"{symbol} = {name}"
            for symbol, name in zip(best.symbols, best.names, strict=True)
            if name != symbol.name
        ]
        if legend:
            lines.append("where " + ", ".join(legend))
        lines.append(self.verdict)
        if self.hybrid is not None:
            lines.append(f"Partly numeric, and no law: {self.hybrid}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "<tr><th></th><th>complexity</th><th>rmse</th><th>formula</th></tr>"
        body = "".join(
            f"<tr><td>{'&#9654;' if n == self.choice else ''}</td><td>{f.complexity}</td>"
            f"<td>{f.rmse:.2g}</td><td>${html.escape(f.latex())}$</td></tr>"
            for n, f in enumerate(self.formulas)
        )
        return f"<table>{head}{body}</table><p>{html.escape(self.verdict)}</p>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.best.latex()}$"


def pareto(formulas: list[Formula]) -> list[Formula]:
    """Those that are not beaten in complexity and error, the plainest first."""
    kept: list[Formula] = []
    for formula in sorted(formulas, key=lambda f: (f.complexity, f.rmse)):
        if math.isfinite(formula.rmse) and (not kept or formula.rmse < kept[-1].rmse):
            kept.append(formula)
    return kept
