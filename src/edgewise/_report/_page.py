"""The report: one self-contained page, drawn without network access, fonts or scripts."""

from __future__ import annotations

import base64
import html
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence

from edgewise._report._mathml import mathml
from edgewise._report._run import CHOOSE_SHARE, TEST_SHARE, Run

_WRITABLE = 400  # parts: a longer formula is told of, and stands in formula.tex


def page(run: Run, pictures: Mapping[str, bytes], command: Sequence[str]) -> str:
    """Write the report of a run.

    Args:
        run: What it tells of.
        pictures: The PNG files "network", "history" and "scatter".
        command: The command line that repeats the run.

    Returns:
        An HTML document that holds its pictures.
    """
    target = _text(run.settings.target)
    sections = [
        _header(run, target),
        _errors(run, target, pictures),
        _formula(run),
        _network(run, pictures),
        _fit(run, pictures),
        _repeat(run, command),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{target}: edgewise report</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


# the sections, from top to bottom


def _header(run: Run, target: str) -> str:
    names = ", ".join(map(_text, run.inputs))
    return (
        f"<header><h1>{target}</h1>"
        f"<p>from {names}. Table: {_text(run.table.name)}.</p>"
        f'<p class="verdict">{_text(run.verdict)}</p></header>'
    )


def _errors(run: Run, target: str, pictures: Mapping[str, bytes]) -> str:
    rows = run.rows
    best = min(score.rmse for score in run.scores)
    lines = [
        (
            _text(score.name) + f"<small>{_text(score.detail)}</small>",
            _bold(_number(score.rmse), score.rmse == best),
            _number(score.r2),
        )
        for score in run.scores
    ]
    return _section(
        "Errors on rows kept back",
        f"<p>{len(rows.x_test):,} rows that nothing was fitted to or chosen by. The root mean "
        f"square error (RMSE) is in the unit of {target}; R² is the share of its variance that is "
        "explained.</p>"
        + _beside(
            _table(("method", "RMSE", "R²"), lines),
            _figure(pictures["scatter"], f"{target}, predicted by the network over measured"),
        ),
    )


def _formula(run: Run) -> str:
    formula = run.formula
    if formula is None:
        return _section("Formula", f"<p>{_text(run.formula_note)}</p>")
    if formula.complexity > _WRITABLE:
        return _section(
            "Formula",
            "<p>The best that was found is too long for a page: it stands in "
            "<code>formula.tex</code>.</p>",
        )
    written = mathml(formula.expr, formula.symbols, run.inputs, run.settings.target)
    drawn = f'<div class="formula">{written}</div>'
    if formula.numeric:
        drawn += "<p>φ with layer, source and target is the curve on that edge of the network.</p>"
    if run.searched:
        drawn += (
            "<p>It was searched for in the rows themselves: read off the network, nothing as short "
            "does as well.</p>"
        )
    if not run.is_explained:
        drawn = f"<details><summary>The best that was found</summary>{drawn}</details>"
    fitted = [c for c in formula.constants if c.exact is None]
    if fitted:
        values = [(c.name, _text(_value(c.value, c.error))) for c in fitted]
        table = _table(("constant", "value"), values)
        if not run.searched:
            edges = [(_text(str(c.edge)), *row) for c, row in zip(fitted, values, strict=True)]
            table = "<p>A locked edge is c f(a x + b) + d.</p>"
            table += _table(("edge", "constant", "value"), edges)
        drawn += (
            f"<details><summary>{len(fitted)} fitted constant{'s' * (len(fitted) > 1)}, with "
            "standard errors</summary>"
            f"{table}</details>"
        )
    return _section("Formula", drawn)


def _network(run: Run, pictures: Mapping[str, bytes]) -> str:
    most = max(run.attribution) or 1.0
    ranked = sorted(zip(run.inputs, run.attribution, strict=True), key=lambda pair: -pair[1])
    bars = [
        (
            _text(name),
            f'<div class="bar" style="width:{160 * share / most:.0f}px"></div>',
            f"{share:.2f}",
        )
        for name, share in ranked
    ]
    return _section(
        "Network",
        f"<p>{_text(run.pruning)} On each edge stands its function over the range of the data; the "
        "darker an edge, the more of the output passes through it.</p>"
        + _figure(pictures["network"], "The network with the function on each edge", wide=True)
        + "<h3>What the inputs carry</h3>"
        + _table(("input", "", "score"), bars),
    )


def _fit(run: Run, pictures: Mapping[str, bytes]) -> str:
    fitted = run.fitted
    trials = [
        (" → ".join(map(str, trial.nodes)), str(trial.grid), _number(trial.held_out))
        for trial in fitted.trials
    ]
    return _section(
        "Fit",
        f"<p>{_text(fitted.solver)}, {len(fitted.history)} steps. {_text(str(fitted.status))}</p>"
        + _beside(
            _figure(pictures["history"], "RMSE over the steps of the fit"),
            "<h3>Networks that were tried</h3>"
            + _table(("nodes", "grid", f"{_text(fitted.measure)}, choosing rows"), trials),
        ),
    )


def _repeat(run: Run, command: Sequence[str]) -> str:
    rows, settings = run.rows, run.settings
    facts = {
        "table": f"{run.table}, SHA-256 {run.sha256}",
        "rows": (
            f"{len(rows.x):,} fitted, {len(rows.x_choose):,} to choose by "
            f"({100 * CHOOSE_SHARE:.0f} % of the rest), {len(rows.x_test):,} for the test "
            f"({100 * TEST_SHARE:.0f} %); drawn with seed {settings.seed}"
        ),
        "network": f"{run.model!r}, degree {settings.degree}",
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in run.seconds.items()),
        "versions": ", ".join(f"{name} {number}" for name, number in run.versions.items()),
    }
    return _section(
        "To repeat it",
        f"<pre>{_text(shlex.join(command))}</pre>"
        + _table((), [(_text(name), _text(fact)) for name, fact in facts.items()]),
    )


# pieces


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _beside(left: str, right: str) -> str:
    return f'<div class="beside"><div>{left}</div><div>{right}</div></div>'


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    top = f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table>{top}<tbody>{body}</tbody></table>"


def _figure(png: bytes, caption: str, *, wide: bool = False) -> str:
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    kind = ' class="wide"' if wide else ""
    image = f'<img alt="{caption}" src="{source}">'
    return f"<figure{kind}>{image}<figcaption>{caption}</figcaption></figure>"


def _text(text: str) -> str:
    return html.escape(text)


def _bold(text: str, bold: bool) -> str:
    return f"<b>{text}</b>" if bold else text


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "no value"
    return f"{value:.4g}".replace("-", "−")


def _value(value: float, error: float) -> str:
    return f"{value:.10g} ± {error:.1g}"


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f1f1f; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.9rem; margin-bottom: .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .5rem; border-bottom: 1px solid #d8d8d8; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.verdict { border-left: 4px solid #0b6fae; background: #f2f7fb; padding: .6rem .9rem; }
.beside { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; }
.beside > div { flex: 1 1 22rem; min-width: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: #5a5a5a; }
td, th { padding: .25rem 1.1rem .25rem 0; border-bottom: 1px solid #e6e6e6; vertical-align: top;
  overflow-wrap: anywhere; }
tbody td:first-child { overflow-wrap: normal; }
.beside td:not(:first-child) { white-space: nowrap; } /* numbers */
td small { display: block; color: #6f6f6f; }
figure { margin: 0; } figure.wide { text-align: center; }
img { max-width: 100%; height: auto; } .wide img { max-height: 46rem; }
figcaption { color: #6f6f6f; font-size: .85rem; }
.bar { height: .8rem; margin-top: .35rem; background: #0b6fae; }
.formula { overflow-x: auto; padding: .8rem 0; font-size: 1.15rem; }
pre { background: #f4f4f4; padding: .7rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: #0b6fae; }
"""
