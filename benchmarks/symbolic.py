"""Laws from tables: how many known equations `discover` finds again, with noise and with units.

python -m benchmarks.symbolic --set feynman --noise 0.1 --units --processes 2
python -m benchmarks.symbolic --set feynman --digits 6

The equations come from CSV files (`--folder`): formula, variables and ranges in SymPy's words, and
exponents of units. Runs are kept in .bench/symbolic-*.jsonl; what is there is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sympy

import edgewise as ew
from benchmarks import _page

ROWS = 1000
SECONDS = 60
DATA = Path(os.environ.get("EDGEWISE_DATA", "../shared/data")) / "equations"
CACHE = Path(__file__).parent.parent / ".bench"


def equations(folder: Path, name: str) -> list[dict[str, str]]:
    """Read the equations of a set."""
    return list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))


def law(row: dict[str, str]) -> tuple[sympy.Expr, list[sympy.Symbol]]:
    """The right formula in x_1, x_2, ..."""
    names = row["variables"].split(";")
    symbols = [sympy.Symbol(f"x_{n}", real=True) for n in range(1, len(names) + 1)]
    return sympy.sympify(row["formula"], locals=dict(zip(names, symbols, strict=True))), symbols


def sample(row: dict[str, str], count: int, seed: int, widen: float = 0.0) -> tuple[Any, Any]:
    """Draw rows from the ranges, widened by a share on both sides, where the law has a value."""
    expr, symbols = law(row)
    low, high = (np.array([float(v) for v in row[end].split(";")]) for end in ("low", "high"))
    lower = low - widen * (high - low)
    lower = np.where((low > 0) & (lower <= 0), low / (1 + 2 * widen), lower)  # positive stays so
    low, high = lower, high + widen * (high - low)
    x = np.random.default_rng(seed).uniform(low, high, (20 * count, len(symbols)))
    y = values(expr, symbols, x)
    good = np.isfinite(y) & (np.abs(y) < 1e100)
    return x[good][:count], y[good][:count]


def values(expr: sympy.Expr, symbols: list[sympy.Symbol], x: Any) -> Any:
    """Evaluate an expression; NaN where it has no real value."""
    with np.errstate(all="ignore"):
        y = sympy.lambdify(symbols, expr, "numpy")(*x.T)
        if np.iscomplexobj(y):
            y = np.where(np.imag(y) == 0, np.real(y), np.nan)
        return np.broadcast_to(y, (len(x),)).astype(float)


def is_equal(found: sympy.Expr, row: dict[str, str], tolerance: float = 1e-9) -> bool:
    """Whether two formulas are equal: to a share of the size of y inside the ranges and outside.

    Outside is the box that is wider by a quarter on each side (an input that is positive stays so),
    on rows where the right law has a value; a formula that has none there, or another, is not
    equal.
    """
    expr, symbols = law(row)
    if sympy.count_ops(found) < 60 and sympy.expand(found - expr) == 0:
        return True
    for widen in (0.0, 0.25):
        x, y = sample(row, 500, 1234, widen)
        r = values(found, symbols, x) - y
        size = np.maximum(np.abs(y), np.median(np.abs(y)))
        if not (np.abs(r) <= tolerance * size).all():
            # rounding: 1 - tanh(u) has few digits where exp(-u) has all
            small = sympy.count_ops(found) < 40 and found.has(sympy.tanh)
            return small and sympy.simplify((found - expr).rewrite(sympy.exp)) == 0
    return True


def is_same_law(found: sympy.Expr, row: dict[str, str], noise: float) -> bool:
    """Whether a formula from noisy rows becomes the right one when its constants are refitted.

    The rule: its floating-point numbers are fitted to exact rows, starting where they are. The
    result has to be equal to the law (`is_equal`), and no number may move by more than the noise
    allows: 5 * noise of its size, at least 1e-3.
    """
    if is_equal(found, row):
        return True
    _, symbols = law(row)
    floats = sorted(found.atoms(sympy.Float), key=str)
    if not floats or len(floats) > 8:
        return False
    free = list(sympy.symbols(f"free_0:{len(floats)}", real=True))
    shape = found.xreplace(dict(zip(floats, free, strict=True)))
    theta = start = np.array([float(f) for f in floats])
    x, y = sample(row, 500, 99)
    slopes = [sympy.diff(shape, f) for f in free]

    def at(theta: Any, e: sympy.Expr) -> Any:
        return values(e.xreplace(dict(zip(free, map(sympy.Float, theta), strict=True))), symbols, x)

    for _ in range(12):
        J = np.column_stack([at(theta, s) for s in slopes])
        r = y - at(theta, shape)
        good = np.isfinite(J).all(1) & np.isfinite(r)
        if good.mean() < 0.9:
            return False
        theta = theta + np.linalg.lstsq(J[good], r[good], rcond=1e-12)[0]
    moved = np.abs(theta - start) / np.maximum(np.abs(theta), 1e-9)
    if not (moved <= max(5 * noise, 1e-3)).all():
        return False
    refitted = shape.xreplace(
        {f: sympy.Float(float(t), 17) for f, t in zip(free, theta, strict=True)}
    )
    return is_equal(refitted, row)


@dataclass(frozen=True)
class Kind:
    """A kind of table: a set of equations, and how its rows are spoilt or explained."""

    name: str
    noise: float = 0.0
    units: bool = False
    digits: int | None = None

    def __str__(self) -> str:
        words = [self.name, f"{self.noise:g}", *(["units"] * self.units)]
        return "-".join([*words, *([f"digits{self.digits}"] if self.digits else [])])

    @classmethod
    def read(cls, text: str) -> Kind:
        """The kind that is written so."""
        name, noise, *rest = text.split("-")
        digits = [int(word.removeprefix("digits")) for word in rest if word.startswith("digits")]
        return cls(name, float(noise), "units" in rest, digits[0] if digits else None)

    @property
    def tolerance(self) -> float:
        """How much, as a share, the numbers of a formula may be off."""
        return self.noise or (10.0 ** (1 - self.digits) if self.digits else 0.0)


def run(task: tuple[dict[str, str], Kind, int, float]) -> dict[str, Any]:
    """Search for one equation."""
    row, kind, seed, seconds = task
    x, y = sample(row, ROWS, seed)
    size = kind.noise * float(np.sqrt(np.mean(y * y)))  # as SRBench and PhySO count noise
    y = y + size * np.random.default_rng(seed + 1).normal(size=len(y))
    if kind.digits:
        x, y = (np.vectorize(lambda v: float(f"{v:.{kind.digits}g}"))(table) for table in (x, y))
    units = None
    if kind.units:
        units = [[float(e) for e in u.split(",")] for u in row["units"].split(";")]
        units.append([float(e) for e in row["output_units"].split(",")])
    begin = time.process_time()
    try:
        front = ew.discover(
            x, y, units=units, time=seconds, seed=seed, progress=False, clock=time.process_time
        )
    except ew.EdgewiseError as error:
        return {"id": row["id"], "equal": False, "error": str(error), "cause": "refused"}
    used = time.process_time() - begin
    found = front.best.expr

    def is_law(formula: ew.Formula) -> bool:
        tolerance = kind.tolerance
        return (
            is_same_law(formula.expr, row, tolerance) if tolerance else is_equal(formula.expr, row)
        )

    judged = is_law(front.best)
    among = next(
        (k for k, fs in (("front", front), ("rivals", front.rivals)) if any(map(is_law, fs))), ""
    )
    return {
        "id": row["id"],
        "law": row["formula"],
        "formula": str(found),
        "equal": bool(judged),
        "rivals": len(front.rivals),
        "finished": front.finished,
        "found": front.found,
        "exact": front.exact,
        "rmse": front.best.rmse / (front.best.spread or 1.0),
        "complexity": front.best.complexity,
        "seconds": used,
        "in_front": among == "front",
        "cause": "" if judged else cause(row, x, y, front, among),
    }


CAUSES = {
    "alike": "the rows fit another formula as well, and it is told that they do",
    "mistaken": "the rows fit another formula as well, which is claimed",
    "chosen": "the right law is in the front or a rival, another was chosen",
    "time": "the time was over before the right form was tried",
    "search": "the search came to its end without the right form",
    "refused": "the search was refused",
    "unknown": "an earlier run, which did not record it",
}


def cause(row: dict[str, str], x: Any, y: Any, front: ew.Front, among: str) -> str:
    """Why the best formula is not the law: a key of CAUSES.

    Rows fit a formula as well as the law where its likelihood is less by 4.5 nats (three standard
    deviations) at most.
    """
    errors = [values(*law(row), x) - y, values(front.best.expr, list(front.best.symbols), x) - y]
    right, best = (max(float(np.mean(e * e)), 1e-28 * float(np.mean(y * y))) for e in errors)
    if best > 0 and 0.5 * len(y) * np.log(best / right) < 4.5:
        return "mistaken" if front.found else "alike"
    if among:
        return "chosen"
    return "search" if front.finished else "time"


def study(
    folder: Path, kind: Kind, processes: int, seed: int, seconds: float
) -> list[dict[str, Any]]:
    """Run a set of equations, or take from the cache what has run."""
    CACHE.mkdir(exist_ok=True)
    path = CACHE / f"symbolic-{kind}-{seed}.jsonl"
    done = {}
    if path.exists():
        done = {r["id"]: r for r in map(json.loads, path.read_text().splitlines())}
    rows = equations(folder, kind.name)
    tasks = [(row, kind, seed, seconds) for row in rows if row["id"] not in done]
    with path.open("a") as log, multiprocessing.get_context("spawn").Pool(processes) as pool:
        for n, result in enumerate(pool.imap_unordered(run, tasks), 1):
            done[result["id"]] = result
            log.write(json.dumps(result) + "\n")
            log.flush()
            print(f"{n}/{len(tasks)}", result["id"], result["equal"], flush=True)
    return [done[row["id"]] for row in rows]


def summary(kind: Kind, results: list[dict[str, Any]]) -> list[str]:
    """A line of the table."""
    right = sum(r["equal"] for r in results)
    claimed = sum(bool(r.get("found")) and not r["equal"] for r in results)
    times = [r["seconds"] for r in results if "seconds" in r]
    return [
        kind.name,
        f"{kind.digits} digits" if kind.digits else f"{100 * kind.noise:g} %",
        "yes" if kind.units else "no",
        f"{right} of {len(results)} ({100 * right / max(len(results), 1):.0f} %)",
        str(claimed),
        f"{np.median(times):.1f}" if times else "",
        ", ".join(r["id"] for r in results if not r["equal"]) or "none",
    ]


def causes(label: str, results: list[dict[str, Any]]) -> list[list[str]]:
    """Lines of the second table: which equations were not found for which cause."""
    by_cause: dict[str, list[str]] = {}
    for r in results:
        if not r["equal"]:
            by_cause.setdefault(
                r.get("cause") or ("chosen" if r.get("in_front") else "unknown"), []
            ).append(r["id"])
    return [
        [label, CAUSES[key], str(len(by_cause[key])), ", ".join(by_cause[key])]
        for key in CAUSES
        if key in by_cause
    ]


TEXT = f"""How many known equations `discover` finds again.

{ROWS} rows drawn evenly from the ranges of each equation, at most {SECONDS} s of CPU time. Noise
is a share of the root mean square of y, as SRBench counts it. Without noise an equation counts as
found where `best` equals it by SymPy, or to 1e-9 of y on 500 new rows inside of the ranges and on
500 from a box wider by a quarter on each side, where positive inputs stay positive. With noise, or
with inputs and y rounded to some digits, its floating-point numbers are first refitted to exact
rows, and none may move by more than five times the noise (at least 1e-3); then the same holds.
*Wrong claims* are formulas with `found` that are not the law. A formula that is right but has
`rivals` counts as found, and not as a claim. A set may have run in part and with less time; the
counts say on how many equations."""

STUDIES = (
    Kind("feynman"),
    Kind("feynman", units=True),
    Kind("feynman", digits=6),
    Kind("feynman", noise=0.01),
    Kind("feynman", noise=0.1, units=True),
    Kind("classic"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DATA)
    parser.add_argument("--set", choices=("feynman", "classic"))
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--units", action="store_true")
    parser.add_argument("--digits", type=int, help="round inputs and y to so many digits")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    asked = Kind(options.set or "", options.noise, options.units, options.digits)
    for kind in [asked] if options.set else STUDIES:
        study(options.folder, kind, options.processes, options.seed, options.seconds)
    write_page(options.seed)


def write_page(seed: int) -> None:
    """Write the table of all studies that have run."""
    table: list[list[str]] = []
    missed: list[list[str]] = []
    for path in sorted(CACHE.glob(f"symbolic-*-{seed}.jsonl")):
        kind = Kind.read(path.stem.removeprefix("symbolic-").removesuffix(f"-{seed}"))
        results = list(
            {r["id"]: r for r in map(json.loads, path.read_text().splitlines())}.values()
        )
        table.append(summary(kind, results))
        missed += causes(", ".join(table[-1][:2] + ["units"] * kind.units), results)
    _page.write(
        "symbolic",
        "Laws from tables",
        TEXT,
        ["set", "noise or rounding", "units", "found", "wrong claims", "median CPU s", "not found"],
        table,
        "What was not found, by cause:\n\n"
        + _page.table(["set", "cause", "equations", "which"], missed),
    )


if __name__ == "__main__":
    main()
