"""One run: fit a network to a table, prune it, look for a formula, and measure it all.

The formula is read off the network. Where that gives none with exact numbers, the rows are searched
for a shorter one.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor

from edgewise._errors import ConfigError, DataError
from edgewise._fit import FitResult, Outcome, fit
from edgewise._network import KAN, Width
from edgewise._prune import attribute, prune
from edgewise._report._scores import Rows, Score, rivals, score
from edgewise._symbolic import Formula, discover, symbolize
from edgewise._table import Table, split

TEST_SHARE = 0.2
CHOOSE_SHARE = 0.2  # of the rows that are no test rows
_FIT_SHARE, _PRUNE_SHARE, _READ_SHARE = 0.5, 0.15, 0.2  # of the time; what is left is to search
_SHORT = 60  # parts: symbols, numbers, operations
_LEAST = 1.0  # seconds below which a search is not begun
_AS_GOOD = 1.25  # so much larger may the error of a formula be that explains what the network found

Say = Callable[[str], None]


class Interrupted(Exception):
    """The user stopped the run before there was a network."""


@dataclass(frozen=True)
class Settings:
    """What the user asked for.

    Attributes:
        target: The column to predict.
        inputs: The columns to predict it from; all others by default.
        widths: The nodes of each layer; by default a hidden layer of 5 to 10 nodes.
        grid: The number of intervals that the fit begins with.
        degree: The degree of the splines.
        seed: The seed of all random choices.
        time: About how many seconds fitting and the search for a formula may take together.
    """

    target: str
    inputs: tuple[str, ...] | None = None
    widths: tuple[Width, ...] | None = None
    grid: int = 3
    degree: int = 3
    seed: int = 0
    time: float = 60.0


@dataclass(frozen=True)
class Run:
    """What came out.

    Attributes:
        settings: What was asked for.
        table: The path of the table.
        sha256: The digest of its content.
        inputs: The names of the inputs.
        rows: The rows that were fitted, those that chose, and those for the test.
        fitted: The fit of the whole network.
        model: The network that was kept: pruned, or as it was fitted.
        pruning: What pruning did, as a sentence.
        formula: The formula, or None.
        formula_note: Why there is no formula, as a sentence, or empty.
        searched: Whether the formula was searched for in the rows, and not read off the network.
        scores: Errors on the test rows: the network first, then its formula if there is one, then
            the other methods.
        predicted: The network's predictions for the test rows.
        attribution: How much of the output passes through each input.
        edge_scores: The same for each edge, (layer, source, target, score).
        seconds: How long each part took.
        versions: Of Python and the packages that numbers depend on.
    """

    settings: Settings
    table: Path
    sha256: str
    inputs: tuple[str, ...]
    rows: Rows = field(repr=False)
    fitted: FitResult
    model: KAN
    pruning: str
    formula: Formula | None = field(repr=False)
    formula_note: str
    searched: bool
    scores: tuple[Score, ...]
    predicted: Tensor = field(repr=False)
    attribution: tuple[float, ...]
    edge_scores: tuple[tuple[int, int, int, float], ...] = field(repr=False)
    seconds: dict[str, float]
    versions: dict[str, str]

    @property
    def formula_score(self) -> Score | None:
        """The formula's errors on the test rows."""
        return self.scores[1] if self.formula is not None else None

    @property
    def is_explained(self) -> bool:
        """Whether a short formula does about as well as the network, on the test rows."""
        if self.formula is None or self.formula_score is None:
            return False
        own, network = self.formula_score.rmse, self.scores[0].rmse
        return _explains(self.formula, own, network, self.rows.y_test)

    @property
    def verdict(self) -> str:
        """What the formula is worth, as a sentence."""
        if self.formula is None or self.formula_score is None:
            return self.formula_note
        own, network = self.formula_score.rmse, self.scores[0].rmse
        if self.is_explained:
            errors = f"its error is {own:.3g}, the network's {network:.3g}"
            return f"A short formula explains the data: {errors}."
        if self.formula.numeric:
            count = f"{len(self.formula.numeric)} of {len(self.model.edges())} edges"
            if not self.formula.finished:
                return f"No short formula was found before the search ended: {count} stay numeric."
            why = f"{count} are like none of the known functions and stay numeric"
        elif own == float("inf"):
            why = "the one that was found has no value on some of the test rows"
        elif own > _AS_GOOD * network:
            why = f"the best that was found has an error of {own:.3g}, the network {network:.3g}"
        else:
            why = f"the one that was found has {self.formula.complexity} parts"
        return f"No short formula explains these data: {why}."


def run(
    table: Table, settings: Settings, *, say: Say = lambda _: None, progress: bool = False
) -> Run:
    """Do the whole job.

    Args:
        table: The data.
        settings: What to do.
        say: Is told what happens, sentence by sentence.
        progress: Whether to show progress bars on standard error.

    Returns:
        The network, its formula if one was found, and all errors.

    Raises:
        DataError: If the table is not fit to be fitted.
        ConfigError: If a setting is not accepted.
        Interrupted: If the user stopped it before there was a network. Later it comes to its end
            with what there is.
    """
    inputs = table.inputs(settings.target, settings.inputs)
    rows = _rows(table, settings, inputs)
    model = _network(settings, len(inputs))
    counts = len(rows.x), len(rows.x_choose), len(rows.x_test)
    say(
        f"{table.path.name}: {len(table):,} rows. {counts[0]:,} are fitted, {counts[1]:,} choose "
        f"between fits, {counts[2]:,} are kept back for the test."
    )
    say(f"Fitting a network of widths {model.widths} …")
    fitted = _fit(model, rows, settings, settings.time * _FIT_SHARE, progress)
    seconds = {"fit": fitted.seconds}
    say(f"  RMSE {fitted.held_out:.4g} on the rows that choose. {fitted.status}")

    interrupted = fitted.status.outcome is Outcome.INTERRUPTED
    kept, pruning = fitted.model, "Not pruned, since the fit was interrupted."
    formula, note = None, "The fit was interrupted, so no formula was looked for."
    searched = False
    if not interrupted:
        begin = time.perf_counter()
        kept, pruning = _pruned(fitted, rows, settings, progress)
        seconds["prune"] = time.perf_counter() - begin
        say(f"  {pruning}")
        say("Looking for a formula …")
        begin = time.perf_counter()
        formula, note = _read_off(kept, rows, settings, inputs, progress)
        seconds["formula"] = time.perf_counter() - begin
        left = settings.time - sum(seconds.values())
        if left > _LEAST and not _is_settled(formula, kept, rows):
            say("Searching the rows for a shorter one …")
            begin = time.perf_counter()
            law = _search(formula, kept, rows, settings, inputs, left, progress)
            seconds["search"] = time.perf_counter() - begin
            if law is not None:
                formula, note, searched = law, "", True
    say("Comparing with a linear model and gradient boosting …")
    with torch.no_grad():
        predicted = kept(rows.x_test)
    scores = [score("edgewise network", _about(kept), predicted, rows)]
    if formula is not None:
        about = f"{formula.complexity} parts"
        scores.append(score("edgewise formula", about, formula(rows.x_test), rows))
    carried = attribute(kept, rows.x)
    return Run(
        settings=settings,
        table=table.path,
        sha256=hashlib.sha256(table.path.read_bytes()).hexdigest(),
        inputs=inputs,
        rows=rows,
        fitted=fitted,
        model=kept,
        pruning=pruning,
        formula=formula,
        formula_note=note,
        searched=searched,
        scores=(*scores, *_rivals(rows, settings.seed, say)),
        predicted=predicted,
        attribution=tuple(carried.nodes[0].tolist()),
        edge_scores=tuple(
            (layer, source, target, float(carried.edges[layer][target, source]))
            for layer, source, target in kept.edges()
        ),
        seconds=seconds,
        versions=versions(),
    )


def _rows(table: Table, settings: Settings, inputs: tuple[str, ...]) -> Rows:
    x, y = table.select(settings.target, inputs)
    learn, test = split(len(x), share=TEST_SHARE, seed=settings.seed)
    fitted, choose = split(len(learn), share=CHOOSE_SHARE, seed=settings.seed)
    fitted, choose = learn[fitted], learn[choose]
    for column, name in enumerate(inputs):
        values = x[fitted, column]
        if bool((values == values[0]).all()):
            raise DataError(
                f"Column {name!r} of {table.path} is {float(values[0]):.6g} in all "
                f"{len(values)} rows that are fitted, since it hardly ever differs. Leave it out "
                "of --inputs, or try another --seed."
            )
    return Rows(x[fitted], y[fitted], x[choose], y[choose], x[test], y[test])


def _network(settings: Settings, inputs: int) -> KAN:
    widths = settings.widths or (inputs, min(max(inputs, 5), 10), 1)
    if widths[0] != inputs or widths[-1] != 1 or len(widths) < 2:
        hidden = ",".join(map(str, widths[1:-1] or widths[:1]))
        raise ConfigError(
            f"The widths go from the {inputs} inputs to the one output: --widths "
            f"{inputs},{hidden},1, for example. Got {list(widths)}."
        )
    model = KAN(widths, grid=settings.grid, degree=settings.degree)
    model.reset_parameters(generator=torch.Generator().manual_seed(settings.seed))
    return model


def _fit(model: KAN, rows: Rows, settings: Settings, seconds: float, progress: bool) -> FitResult:
    try:
        return fit(
            model,
            rows.x,
            rows.y,
            held_out=(rows.x_choose, rows.y_choose),
            seed=settings.seed,
            time=seconds,
            progress=progress,
        )
    except KeyboardInterrupt:
        raise Interrupted from None


def _pruned(fitted: FitResult, rows: Rows, settings: Settings, progress: bool) -> tuple[KAN, str]:
    """Prune and fit again; keep the smaller network unless the choosing rows speak against it."""
    whole = fitted.model
    small = prune(whole, rows.x)
    edges, left = len(whole.edges()), len(small.edges())
    if left == edges:
        return small, f"All {edges} edges carry something: nothing was pruned."
    try:
        again = _fit(small, rows, settings, settings.time * _PRUNE_SHARE, progress)
    except Interrupted:
        return whole, "Not pruned, since that was interrupted."
    with torch.no_grad():
        errors = [(m(rows.x_choose) - rows.y_choose).square() for m in (again.model, whole)]
    excess = errors[0] - errors[1]
    if float(excess.mean()) > 2 * float(excess.std()) / len(excess) ** 0.5:
        return whole, f"Not pruned: without {edges - left} of {edges} edges the error rises."
    return again.model, (
        f"Pruned from {edges} to {left} edges: RMSE {again.held_out:.4g} on the rows that choose."
    )


def _read_off(
    model: KAN, rows: Rows, settings: Settings, inputs: tuple[str, ...], progress: bool
) -> tuple[Formula | None, str]:
    try:
        formula = symbolize(
            model,
            rows.x,
            rows.y,
            names=inputs,
            held_out=(rows.x_choose, rows.y_choose),
            seed=settings.seed,
            time=settings.time * _READ_SHARE,
            progress=progress,
        )
    except DataError as error:
        return None, f"No formula was looked for. {error}"
    except KeyboardInterrupt:
        return None, "The search for a formula was interrupted."
    if formula.finished and len(formula.numeric) == len(model.edges()):
        return None, (
            f"No short formula explains these data: none of the {len(formula.numeric)} edges is "
            "like one of the known functions."
        )
    return formula, ""


def _is_settled(formula: Formula | None, model: KAN, rows: Rows) -> bool:
    """Whether what was read off a network is a law with exact numbers only."""
    return (
        formula is not None
        and all(c.exact is not None for c in formula.constants)
        and _suffices(formula, model, rows)
    )


def _search(
    formula: Formula | None,
    model: KAN,
    rows: Rows,
    settings: Settings,
    inputs: tuple[str, ...],
    seconds: float,
    progress: bool,
) -> Formula | None:
    """Search the rows, without the network; a formula that is better than what was read off it."""
    try:
        front = discover(
            torch.cat([rows.x, rows.x_choose]),
            torch.cat([rows.y, rows.y_choose]),
            names=inputs,
            time=seconds,
            seed=settings.seed,
            progress=progress,
        )
    except KeyboardInterrupt:
        return None
    if not len(front) or not (front.found or _suffices(front.best, model, rows)):
        return None
    if formula is not None and _suffices(formula, model, rows):
        return front.best if front.best.complexity <= formula.complexity else None
    return front.best


@torch.no_grad()
def _suffices(formula: Formula | None, model: KAN, rows: Rows) -> bool:
    """Whether a short formula does about as well as the network, on the rows that choose."""
    if formula is None:
        return False
    own, network = (
        float((predict(rows.x_choose) - rows.y_choose).square().mean().sqrt())
        for predict in (formula, model)
    )
    return _explains(formula, own, network, rows.y_choose)


def _explains(formula: Formula, own: float, network: float, y: Tensor) -> bool:
    """Whether a formula is short, whole, and errs about as little as the network."""
    enough = _AS_GOOD * network + 1e-9 * float(y.std())
    return not formula.numeric and formula.complexity <= _SHORT and own <= enough


def _rivals(rows: Rows, seed: int, say: Say) -> list[Score]:
    try:
        return rivals(rows, seed)
    except KeyboardInterrupt:
        say("  That was interrupted: the report goes without.")
        return []


def _about(model: KAN) -> str:
    return f"widths {model.widths}, grid {model.grid}, {len(model.edges())} edges"


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("edgewise", "torch", "numpy", "sympy", "scikit-learn", "pyarrow", "matplotlib"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
