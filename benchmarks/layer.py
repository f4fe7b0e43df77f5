"""The fused layer beside its peers: time, peak memory and rounding, on grids of 5 to 400 cells.

Each contender's memory is measured in a fresh process, and the times of all contenders at one size
and grid in another. Needs Linux, for the peak memory. Takes about half an hour; the machine should
have nothing else to do, above all for the times on two threads.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import math
import multiprocessing
import os
import random
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from scipy.interpolate import BSpline
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import _page, _peers
from benchmarks._peers import BY_NAME, OUR_LINES, OURS, REFERENCE, Contender

GRIDS = (5, 20, 100, 400)
KINDS = ("forward and backward", "forward alone")
MOST_MEMORY = 12 * 2**30  # bytes
MOST_SECONDS = 60  # of one call
COMPILE_SECONDS = 600
ROUNDS_SECONDS = 15  # of a contender; a slow one sits rounds out, but takes part in 3
TURN_SECONDS = 0.03  # within a round; at least one call
SLOW_SECONDS = 0.5  # of a call for which caches do not matter
TARGET_MULTIPLE, TARGET_GRID, TARGET_FASTER = 8, 100, 10

INTRODUCTION = f"""
One layer in float32, degree 3, inputs uniform on [-1, 1] that require a gradient: `nn.Linear` and
SiLU, edgewise's `KANLinear`, and its peers. efficient-kan's algorithm is written anew from its
README (all basis functions by the recursion of Cox and de Boor, then a matrix product), without its
standalone scale. From PyPI come {", ".join(f"`{pin}`" for pin in _peers.PINS)}. flashkan and inkan
compile their basis with `torch.compile` by themselves; "compiled" says that the whole layer is.
inkan is there with its defaults and with `contraction="direct"`, its way for large grids.
kanditioned is piecewise linear and has no base function, so it computes less; edgewise's layer of
degree 1, with its base, stands beside it. It runs with `impl="embedding_bag"`, as its default
raises an error.
""".strip()
MEMORY = """
What a call of forward and backward adds to the resident memory at its peak, on one thread, in a
process of its own.
""".strip()
ERRORS = """
The largest difference of an output, and that of the input's gradient in parts of the largest one,
from the same splines in float64 by SciPy's `BSpline`. All parameters are normal with variance
1 / inputs. The gradient of piecewise linear functions jumps at the knots: no number then.
""".strip()


class Size(NamedTuple):
    """The inputs, outputs and rows of a layer's call."""

    inputs: int
    outputs: int
    batch: int

    def __str__(self) -> str:
        return f"{self.inputs} → {self.outputs}, batch {self.batch:,}"


SIZES = (Size(784, 64, 1024), Size(64, 64, 4096))
ERROR_SIZE = SIZES[1]


@dataclass(frozen=True)
class Probe:
    """What one call of forward and backward adds to the memory, and its errors at ERROR_SIZE."""

    megabytes: float
    errors: tuple[float, float | None] | None


class Timing(NamedTuple):
    """Medians over the rounds that a contender took part in."""

    seconds: float
    multiple: float  # of the reference in the same rounds


Cell = tuple[Size, int]  # a size and a grid


@dataclass
class Study:
    """What is to be measured, and what was."""

    names: list[str]
    missing: list[str]
    grids: list[int]
    threads: list[int]
    repeats: int
    # by cell and contender; a word says why there are no numbers
    probes: dict[tuple[Cell, str], Probe | str] = field(default_factory=dict)
    # by cell, threads, kind and contender
    timings: dict[tuple[Cell, int, str, str], Timing] = field(default_factory=dict)

    @property
    def cells(self) -> list[Cell]:
        """All sizes and grids."""
        return [(size, grid) for size in SIZES for grid in self.grids]

    def multiple(self, cell: Cell, threads: int, kind: str, name: str) -> float:
        """Give the multiple of the reference; infinity for what could not be run."""
        timing = self.timings.get((cell, threads, kind, name))
        return math.inf if timing is None else timing.multiple


class Process:
    """A fresh process that runs `function(send, *arguments)` with this many threads."""

    def __init__(self, threads: int, function: Callable[..., None], *arguments: Any) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(_peers.FOLDER / f"compiled-{threads}")
        context = multiprocessing.get_context("spawn")
        self.receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(
            target=_run, args=(threads, sender, function, arguments), daemon=True
        )
        self.process.start()
        sender.close()

    def receive(self, seconds: float | None = None) -> Any:
        """Give what the process sends next, or a word for why it does not."""
        if not self.receiver.poll(seconds):
            self.process.kill()
            return "too slow"
        try:
            return self.receiver.recv()
        except EOFError:
            self.process.join()
            return "out of memory" if self.process.exitcode == -9 else "failed"

    def end(self) -> None:
        """Let the process come to its end, or stop it if it does not."""
        self.process.join(MOST_SECONDS)
        self.process.kill()


def _run(threads: int, sender: Any, function: Callable[..., None], arguments: tuple) -> None:
    """Enter the fresh process."""
    torch.set_num_threads(threads)
    function(sender.send, *arguments)


def build(contender: Contender, cell: Cell) -> nn.Module:
    """Build a layer; whatever its own start is, its parameters become normal numbers."""
    size, grid = cell
    layer = contender.build(size.inputs, size.outputs, grid)
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=size.inputs**-0.5)
    return layer


def data(size: Size) -> tuple[Tensor, Tensor]:
    """Draw the inputs and the gradient that comes back to the outputs."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(size.batch, size.inputs, generator=generator) - 1
    return x.requires_grad_(), torch.randn(size.batch, size.outputs, generator=generator)


def forget(layer: nn.Module, x: Tensor) -> None:
    """Set all gradients to None."""
    x.grad = None
    layer.zero_grad(set_to_none=True)


def call(kind: str, layer: nn.Module, x: Tensor, upstream: Tensor) -> float:
    """Run the layer and give the seconds."""
    if kind == "forward alone":
        with torch.no_grad():
            begin = time.perf_counter()
            layer(x)
            return time.perf_counter() - begin
    forget(layer, x)
    begin = time.perf_counter()
    layer(x).backward(upstream)
    seconds = time.perf_counter() - begin
    forget(layer, x)
    return seconds


def memory(field: str) -> int:
    """Read a size in bytes of this process from Linux."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(found[1])


def peak(layer: nn.Module, x: Tensor, upstream: Tensor) -> float:
    """Give the megabytes by which a call's peak is above the memory before it."""
    forget(layer, x)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    layer(x).backward(upstream)
    return (memory("VmHWM") - before) / 2**20


def exact(contender: Contender, layer: nn.Module, x: Tensor, upstream: Tensor) -> tuple:
    """Give the output and the gradient of the input in float64, by SciPy."""
    coef, base = contender.read(layer)
    grid = coef.shape[1] - contender.degree
    knots = torch.arange(-contender.degree, grid + contender.degree + 1).double() * (2 / grid) - 1
    x, upstream = x.detach().double().requires_grad_(), upstream.double()
    y = torch.zeros_like(upstream)
    if base is not None:
        y = functional.silu(x) @ base.detach().double().T
        y.backward(upstream)
    gradient = torch.zeros_like(x) if x.grad is None else x.grad
    y = y.detach()
    for i, one in enumerate(coef.detach().double().numpy()):
        spline, points = BSpline(knots.numpy(), one, contender.degree), x.detach()[:, i].numpy()
        y += torch.from_numpy(spline(points))
        gradient[:, i] += (torch.from_numpy(spline(points, nu=1)) * upstream).sum(-1)
    return y, gradient


def errors(
    contender: Contender, layer: nn.Module, x: Tensor, upstream: Tensor
) -> tuple[float, float | None]:
    """Compare with float64: the output, and the input's gradient relative to its largest.

    Lines have a gradient that jumps at the knots, where rounding decides on the side: none then.
    """
    forget(layer, x)
    y = layer(x)
    y.backward(upstream)
    expected, gradient = exact(contender, layer, x, upstream)
    error = float((y.detach() - expected).abs().max())
    if contender.degree == 1:
        return error, None
    return error, float((x.grad - gradient).abs().max() / gradient.abs().max())


def probe(send: Callable[[Any], None], name: str, cell: Cell) -> None:
    """Send "ready" after what happens only once, then a Probe or a word for why there is none."""
    contender, (size, _) = BY_NAME[name], cell
    limit = memory("VmData") + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        x, upstream = data(size)
        call(KINDS[0], build(REFERENCE, cell), x, upstream)  # loads the matrix product
        layer = build(contender, cell)
        if contender.compiled:
            call(KINDS[0], layer, x, upstream)
        else:  # a small one, which keeps no memory from the call that is measured
            small = Size(8, 8, 8)
            call(KINDS[0], build(contender, (small, cell[1])), *data(small))
        send("ready")
        megabytes = peak(layer, x, upstream)
        found = None
        if size == ERROR_SIZE and contender.read is not None:
            found = errors(contender, layer, x, upstream)
        send(Probe(megabytes, found))
    except MemoryError:
        send("out of memory")
    except RuntimeError as error:
        if not re.search("allocate memory|bad_alloc", str(error)):
            raise
        send("out of memory")


def examine(name: str, cell: Cell) -> Probe | str:
    """Probe a contender in a fresh process."""
    process = Process(1, probe, name, cell)
    try:
        state = process.receive(COMPILE_SECONDS)
        return process.receive(MOST_SECONDS) if state == "ready" else state
    finally:
        process.end()


def turn(kind: str, layer: nn.Module, x: Tensor, upstream: Tensor, expected: float) -> float:
    """Give the median of some calls, after one that refills the caches others have emptied."""
    if expected > SLOW_SECONDS:
        return call(kind, layer, x, upstream)
    call(kind, layer, x, upstream)
    calls = min(9, max(1, int(TURN_SECONDS / expected)))
    return statistics.median(call(kind, layer, x, upstream) for _ in range(calls))


def rounds(send: Callable[[Any], None], names: list[str], cell: Cell, repeats: int) -> None:
    """Time the contenders in turns and send {(kind, name): Timing}."""
    x, upstream = data(cell[0])
    layers = {name: build(BY_NAME[name], cell) for name in names}
    first, count = {}, {}
    for name, layer in layers.items():
        for kind in KINDS:
            call(kind, layer, x, upstream)
        first[name] = {kind: call(kind, layer, x, upstream) for kind in KINDS}
        affordable = int(ROUNDS_SECONDS / sum(first[name].values()))
        count[name] = min(repeats, max(3, affordable))
    count[REFERENCE.name] = repeats
    found = {(kind, name): {} for kind in KINDS for name in names}
    order = random.Random(0)
    for number in range(repeats):
        for name in order.sample(names, len(names)):
            if (number + 1) * count[name] // repeats == number * count[name] // repeats:
                continue
            for kind in KINDS:
                seconds = turn(kind, layers[name], x, upstream, first[name][kind])
                found[kind, name][number] = seconds
    timings = {}
    for (kind, name), seconds in found.items():
        reference = [found[kind, REFERENCE.name][number] for number in seconds]
        median = statistics.median(seconds.values())
        timings[kind, name] = Timing(median, median / statistics.median(reference))
    send(timings)


def measure(study: Study) -> None:
    """Measure everything and print it as it comes."""
    for cell in study.cells:
        load = f"load average {os.getloadavg()[0]:.1f}"  # others' work, at the start
        print(f"\n{cell[0]}, grid {cell[1]} ({load})", flush=True)
        for name in study.names:
            found = study.probes[cell, name] = examine(name, cell)
            shown = found if isinstance(found, str) else f"{found.megabytes:,.0f} MB"
            print(f"  {name:<36} peak memory {shown}", flush=True)
        able = [name for name in study.names if isinstance(study.probes[cell, name], Probe)]
        for threads in study.threads:
            process = Process(threads, rounds, able, cell, study.repeats)
            found = process.receive()
            process.end()
            if isinstance(found, str):
                sys.exit(f"The times at {cell[0]}, grid {cell[1]}, could not be measured: {found}.")
            print(f"  {_on(threads)}, ms: {', '.join(KINDS)}", flush=True)
            for name in able:
                for kind in KINDS:
                    study.timings[cell, threads, kind, name] = found[kind, name]
                times = "".join(f"{_entry(found[kind, name]):>18}" for kind in KINDS)
                print(f"  {name:<36} {times}", flush=True)


def _entry(timing: Timing) -> str:
    digits = 2 if timing.seconds < 0.01 else 1 if timing.seconds < 0.1 else 0
    return f"{1e3 * timing.seconds:,.{digits}f} ({timing.multiple:,.1f}×)"


def _on(threads: int) -> str:
    return f"{threads} thread{'s' * (threads > 1)}"


def verdicts(study: Study, threads: int) -> list[str]:
    """Say for each target what was measured; what could not be run counts as slower."""
    known = (OURS.name, OUR_LINES.name, REFERENCE.name)
    peers = [name for name in study.names if name not in known]
    alike = [name for name in peers if BY_NAME[name].degree == OURS.degree]

    def lead(cells: list[Cell], kind: str, of: list[str], us: str = OURS.name) -> tuple[float, str]:
        """Give the smallest advantage over a peer, and say where it is."""

        def advantage(cell: Cell, name: str) -> float:
            theirs, ours = (study.multiple(cell, threads, kind, n) for n in (name, us))
            return theirs / ours

        value, cell, name = min(
            (advantage(cell, name), cell, name) for cell in cells for name in of
        )
        return value, f"{value:.1f} times as fast as {name} ({cell[0]}, grid {cell[1]})"

    def against_peers(target: str, cells: list[Cell], kind: str, least: float) -> str:
        value, measured = lead(cells, kind, peers)
        if alike and (other := lead(cells, kind, alike)[1]) != measured:
            measured += f"; of the peers of degree {OURS.degree}, {other}"
        lines = [name for name in peers if BY_NAME[name].degree == OUR_LINES.degree]
        if lines and OUR_LINES.name in study.names:
            measured += f"; {OUR_LINES.name}, {lead(cells, kind, lines, OUR_LINES.name)[1]}"
        return f"{target}: {'reached' if value >= least else 'MISSED'}. At least {measured}."

    training, inference = KINDS
    ours = {cell: study.multiple(cell, threads, training, OURS.name) for cell in study.cells}
    reached = "reached" if max(ours.values()) <= TARGET_MULTIPLE else "MISSED"
    each = "; ".join(
        f"{size}: {', '.join(f'{ours[size, grid]:.1f}' for grid in study.grids)}" for size in SIZES
    )
    target = f"At most {TARGET_MULTIPLE} times {REFERENCE.name} at every grid, {training}"
    lines = [f"{target}: {reached}. {each}."]
    if peers:
        for kind in (training, inference):
            target = f"Faster than every peer at every grid, {kind}"
            lines.append(against_peers(target, study.cells, kind, 1))
        at = [cell for cell in study.cells if cell[1] == TARGET_GRID]
        if at:
            target = f"At grid {TARGET_GRID} {TARGET_FASTER} times as fast as any peer, {training}"
            lines.append(against_peers(target, at, training, TARGET_FASTER))
    return [f"{_on(threads)}. {line}" for line in lines]


def draw(study: Study) -> Figure:
    """Show the multiple of the linear layer over the grid, one panel for each size."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    panels = figure.subplots(1, len(SIZES), sharey=True)
    for axes, size in zip(panels, SIZES, strict=True):
        for number, name in enumerate(study.names):
            values = [
                study.multiple((size, grid), study.threads[0], KINDS[0], name)
                for grid in study.grids
            ]
            if name != REFERENCE.name:
                width = 2.5 if name == OURS.name else 1.2
                axes.loglog(
                    study.grids, values, "o-", lw=width, ms=4, color=f"C{number}", label=name
                )
        axes.axhline(TARGET_MULTIPLE, ls=":", color="gray")
        axes.set_xticks(study.grids, [str(grid) for grid in study.grids])
        axes.minorticks_off()
        axes.set(xlabel="grid (intervals)")
        axes.set_title(str(size), fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"{KINDS[0]} on {_on(study.threads[0])},\nmultiple of {REFERENCE.name}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def table(
    study: Study, corner: str, size: Size, entry: Callable[[Cell, str], str]
) -> tuple[list[str], list[list[str]]]:
    """Make the header and the rows of a table of contenders and grids."""
    header, rows = [corner, *(f"grid {grid}" for grid in study.grids)], []
    for name in study.names:
        row = [name]
        for cell in [(size, grid) for grid in study.grids]:
            found = study.probes[cell, name]
            row.append(found if isinstance(found, str) else entry(cell, name))
        rows.append(row)
    return header, rows


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(study: Study, statements: list[str]) -> tuple[str, list[str], list[list[str]]]:
    """Make the text of the page, and its last table."""

    def megabytes(cell: Cell, name: str) -> str:
        return f"{study.probes[cell, name].megabytes:,.0f}"

    def rounding(cell: Cell, name: str) -> str:
        found = study.probes[cell, name].errors or (None,)
        return " / ".join("–" if error is None else f"{error:.0e}" for error in found)

    parts = [
        INTRODUCTION,
        *(f"{name} is left out: it could not be imported." for name in study.missing),
        f"Times are medians over at most {study.repeats} rounds in which all contenders take turns "
        "in random order. A turn is a call that is not counted and the median of 1 to 9 calls; "
        "slow contenders sit some rounds out. In brackets: the multiple of "
        f"{REFERENCE.name} in the same rounds. What needs more than "
        f"{MOST_MEMORY / 2**30:.0f} GB is out of memory, what needs more than {MOST_SECONDS} s for "
        "a call is too slow.",
        "\n".join(f"* {statement}" for statement in statements),
        f"![multiple of {REFERENCE.name} over grid](layer.png)",
    ]
    for size in SIZES:
        for kind in KINDS:
            parts.append(f"## {size}: {kind}")
            for threads in study.threads:

                def times(cell: Cell, name: str, key: tuple[int, str] = (threads, kind)) -> str:
                    return _entry(study.timings[cell, *key, name])

                parts.append(markdown(*table(study, f"ms, {_on(threads)}", size, times)))
    parts += ["## Peak memory", MEMORY]
    parts += [markdown(*table(study, f"MB, {size}", size, megabytes)) for size in SIZES]
    parts += [f"## Errors in float32, {ERROR_SIZE}", ERRORS]
    return "\n\n".join(parts), *table(study, "output / gradient", ERROR_SIZE, rounding)


def importable(names: list[str]) -> list[str]:
    """Leave out, and say, what cannot be imported."""
    found = []
    for name in names:
        try:
            BY_NAME[name].build(2, 2, 5)
            found.append(name)
        except ImportError as error:
            print(f"{name} is left out: {error}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30, help="rounds at each size and grid")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders that begin like this")
    parser.add_argument("--grids", type=int, nargs="+", default=list(GRIDS))
    settings = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that wait do not hold up those that work
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no processes that idle beside the measured
    _peers.install()
    sys.path.append(str(_peers.PACKAGES))  # the fresh processes get it from here
    chosen = [
        name
        for name in BY_NAME
        if name == REFERENCE.name or not settings.only or name.startswith(tuple(settings.only))
    ]
    names = importable(chosen)
    missing = [name for name in chosen if name not in names]
    study = Study(names, missing, settings.grids, settings.threads, settings.repeats)
    measure(study)
    if OURS.name in names:
        statements = [line for threads in study.threads for line in verdicts(study, threads)]
        print("", *statements, sep="\n", flush=True)
    if OURS.name not in names or settings.only or settings.grids != list(GRIDS):
        print("This is a part of the study only: docs/benchmarks stays as it is.")
        return
    torch.set_num_threads(max(study.threads))  # what the page says
    text, header, rows = page(study, statements)
    _page.write("layer", "The layer", text, header, rows)
    draw(study).savefig(_page.FOLDER / "layer.png", dpi=130)


if __name__ == "__main__":
    main()
