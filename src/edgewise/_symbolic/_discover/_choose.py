"""From candidates to a front: exact numbers, the choice, and what is claimed of it."""

from __future__ import annotations

import math
import time as clocks
from collections.abc import Mapping

import numpy as np
import torch

from edgewise._symbolic._discover._front import Front, pareto
from edgewise._symbolic._discover._noise import is_noise
from edgewise._symbolic._discover._numbers import exact_numbers, simplified
from edgewise._symbolic._discover._pool import NATS, UNEVEN, Candidate, Clock, Pool
from edgewise._symbolic._discover._refine import mean_square, refine, standard_errors
from edgewise._symbolic._discover._rivals import rivals
from edgewise._symbolic._discover._rows import Rows
from edgewise._symbolic._discover._sympy import written
from edgewise._symbolic._discover._tree import Tree, absorbed, constants, evaluate, size
from edgewise._symbolic._evidence import inner_rows
from edgewise._symbolic._formula import Constant, Formula, shorten
from edgewise._symbolic._snap import Exact

_SHOWN = 40
"""Candidates that are made exact: with plain numbers, a longer one may become the shorter one."""
_FEW = 1
"""Fitted constants up to which a law in noise is claimed although the search was cut off."""


def make_front(
    pool: Pool,
    rows: Rows,
    names: tuple[str, ...],
    given: Mapping[str, float],
    finished: bool,
    begin: float,
    until: Clock | None = None,
) -> Front:
    """Make the constants of the best candidates exact, and write them down.

    When the time of the clock `until` is over, the other candidates are left out.
    """
    plain = rows.plain
    rows = rows.unscaled()
    final = Pool(rows.x, rows.y, Clock(math.inf), lost=rows.lost)
    mean = Candidate(("c", float(np.mean(rows.y))), float(np.var(rows.y)), 1)
    made: dict[str, tuple[float, Candidate]] = {}
    hopeful = shown(pool)
    for candidate in [*hopeful[:1], mean, *hopeful[1:]]:
        if until is not None and len(made) > 1 and until.left <= 0:
            break
        tree = candidate.tree if candidate is mean else absorbed(plain(candidate.tree))
        tree, loss = refine(tree, rows.x, rows.y)
        floor, unsure = 25 * final.rounding, 1.0
        if final.is_right_to_digits(Candidate(tree, loss, size(tree))):
            floor, unsure = max(floor, final.digits), UNEVEN
        tree = simplified(tree, rows.x, rows.y, floor)
        tree, loss = exact_numbers(tree, rows.x, rows.y, floor, given, unsure)
        held = mean_square(tree, rows.held_x, rows.held_y)
        refined = Candidate(tree, max(loss, held / 1.5), size(tree))
        made.setdefault(repr(tree), (final.cost(refined), refined))
    ranked = sorted(made.values(), key=lambda c: c[0])
    best = ranked[0][1]
    printed = {}
    for _, candidate in ranked:
        formula = write(candidate.tree, rows, names, given)
        printed.setdefault(str(shorten(formula.expr)), formula)
    formulas = list(printed.values())
    front = pareto(formulas)
    if formulas[0] not in front:
        front = sorted([*front, formulas[0]], key=lambda f: (f.complexity, f.rmse))
    # as a steep tanh for a step: any steeper one is as good, so none is the law
    known = bool(np.isfinite([c.error for c in formulas[0].constants]).all())
    exact = known and best.loss <= 9 * final.rounding and _exact_on_held(best.tree, rows)
    to_digits = known and not exact and _right_to_digits(best.tree, final, rows)
    found = (
        exact
        or to_digits
        or (
            known
            and best.size > 1
            and (finished or best.numbers <= _FEW)
            and is_noise(rows.x[:, rows.kept], rows.y - evaluate(best.tree, rows.x), best.numbers)
        )
    )
    noise = 0.0 if exact else math.sqrt(best.loss) if found else math.nan
    others = rivals(ranked, rows.x) if found and not exact else []
    return Front(
        formulas=tuple(front),
        choice=front.index(formulas[0]),
        found=found and not others,
        exact=exact,
        to_digits=to_digits,
        noise=noise,
        finished=finished,
        seconds=clocks.perf_counter() - begin,
        rivals=tuple(write(c.tree, rows, names, given) for c in others),
    )


def shown(pool: Pool) -> list[Candidate]:
    """The candidates of least cost, and the shortest of each error."""
    ranked = pool.ranked()
    hopeful = sorted(ranked, key=lambda c: pool.cost(c) - NATS / 2 * c.numbers)
    shown: dict[tuple[int, str], Candidate] = {}
    for candidate in [*ranked[:1], *hopeful]:
        shown.setdefault((candidate.size, f"{candidate.loss:.4e}"), candidate)
        if len(shown) == _SHOWN:
            break
    kept, least = list(shown.values()), math.inf
    for length in sorted(pool.kept):
        candidate = pool.kept[length][0]
        if candidate.loss < 0.5 * least:
            least = candidate.loss
            kept.append(candidate)
    return kept if not pool.done else [ranked[0], *kept[_SHOWN:]]


def _exact_on_held(tree: Tree, rows: Rows) -> bool:
    with np.errstate(all="ignore"):
        r = evaluate(tree, rows.held_x) - rows.held_y
        return bool(np.sqrt(np.mean(r * r)) <= 1e-12 * np.sqrt(np.mean(rows.held_y**2)))


def _right_to_digits(tree: Tree, final: Pool, rows: Rows) -> bool:
    """Whether a brief law is as right as the table's digits can tell, on rows held out as well."""
    law = Candidate(tree, mean_square(tree, rows.x, rows.y), size(tree))
    if rows.held_lost is None or not final.is_right_to_digits(law) or not final.is_brief(law):
        return False
    limit = rows.held_lost.limit(tree, rows.held_x)
    return law.size > 1 and mean_square(tree, rows.held_x, rows.held_y) <= 2 * limit


def write(tree: Tree, rows: Rows, names: tuple[str, ...], given: Mapping[str, float]) -> Formula:
    """A tree as a formula in the units of the data, with its errors on the rows held out."""
    errors = standard_errors(tree, rows.x, rows.y) if constants(tree) else np.zeros(0)
    fitted = tuple(
        Constant(None, f"c_{n + 1}", value, float(error))
        for n, (value, error) in enumerate(zip(constants(tree), errors, strict=True))
    )
    r = evaluate(tree, rows.held_x) - rows.held_y
    rmse = float(np.sqrt(np.mean(r * r)))
    x = np.vstack([rows.x, rows.held_x])
    return Formula(
        exprs=(written(tree, len(names), rows.x),),
        rmse=rmse if math.isfinite(rmse) else math.inf,
        network_rmse=math.nan,
        spread=float(rows.held_y.std()),
        constants=fitted,
        numeric=(),
        finished=True,
        names=names,
        extrapolation=_extrapolation(tree, rows),
        given={k: v for k, v in given.items() if k in _named(tree)},
        ranges=tuple(zip(x.min(0).tolist(), x.max(0).tolist(), strict=True)),
    )


def _named(tree: Tree) -> set[str]:
    """The names of the numbers in a tree."""
    if tree[0] == "k":
        return {tree[1].unit} if isinstance(tree[1], Exact) else set()
    return set().union(*(_named(part) for part in tree[1:] if isinstance(part, tuple)))


def _extrapolation(tree: Tree, rows: Rows) -> float:
    """The error on the outermost rows of a fit to the inner ones."""
    x = np.vstack([rows.x, rows.held_x])
    y = np.append(rows.y, rows.held_y)
    inner = inner_rows(torch.from_numpy(x)).numpy()
    if inner.sum() < 2 * len(constants(tree)) + 2 or inner.all():
        return math.nan
    fitted, _ = refine(tree, x[inner], y[inner], 20)
    r = evaluate(fitted, x[~inner]) - y[~inner]
    return float(np.sqrt(np.mean(r * r)))
