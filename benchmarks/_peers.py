"""The layers that `benchmarks.layer` compares: edgewise's, its peers', the linear one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

FOLDER = Path(__file__).parent.parent / ".bench" / "layer"
# Only here and without what they depend on: edgewise's own environment has that already.
PACKAGES = FOLDER / "packages"
PINS = ("flashkan==0.2.0", "inkan==0.5.2", "kanditioned==1.0.4")
DEGREE = 3

Spline = tuple[Tensor, Tensor | None]  # (inputs, basis, outputs), base weights (outputs, inputs)


@dataclass(frozen=True)
class Contender:
    """A kind of layer: how it is built for a size and a grid, and how its splines are read."""

    name: str
    build: Callable[[int, int, int], nn.Module]
    read: Callable[[nn.Module], Spline] | None = None
    degree: int = DEGREE
    compiled: bool = False  # by torch.compile, in whole or in part: its first call is slow


def install() -> None:
    """Put the peers' packages into a folder of their own, once."""
    if all((PACKAGES / f"{pin.replace('==', '-')}.dist-info").exists() for pin in PINS):
        return
    print(f"Installing {', '.join(PINS)} into {PACKAGES}", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    if subprocess.run([*command, "--target", str(PACKAGES), *PINS]).returncode:
        print("pip could not install them; what is missing is left out.", flush=True)


class DenseSplines(nn.Module):
    """The algorithm that efficient-kan's README describes, with its standalone scale left out.

    All basis functions are evaluated at all inputs by the recursion of Cox and de Boor, on knots of
    each input's own, and one matrix product combines them; a second one is the SiLU base.
    """

    knots: Tensor

    def __init__(self, in_features: int, out_features: int, grid: int) -> None:
        super().__init__()
        knots = torch.arange(-DEGREE, grid + DEGREE + 1) * (2 / grid) - 1
        self.register_buffer("knots", knots.repeat(in_features, 1))  # (inputs, knots)
        self.spline_weight = nn.Parameter(torch.empty(out_features, in_features, grid + DEGREE))
        self.base_weight = nn.Parameter(torch.empty(out_features, in_features))

    def forward(self, x: Tensor) -> Tensor:
        t, point = self.knots, x.unsqueeze(-1)
        basis = ((point >= t[:, :-1]) & (point < t[:, 1:])).to(x.dtype)
        for k in range(1, DEGREE + 1):
            rising = (point - t[:, : -k - 1]) / (t[:, k:-1] - t[:, : -k - 1])
            falling = (t[:, k + 1 :] - point) / (t[:, k + 1 :] - t[:, 1:-k])
            basis = rising * basis[..., :-1] + falling * basis[..., 1:]  # (batch, inputs, basis)
        splines = functional.linear(basis.flatten(1), self.spline_weight.flatten(1))
        return functional.linear(functional.silu(x), self.base_weight) + splines


def _linear(in_features: int, out_features: int, grid: int) -> nn.Module:
    return nn.Sequential(nn.Linear(in_features, out_features), nn.SiLU())


def _edgewise(in_features: int, out_features: int, grid: int) -> nn.Module:
    import edgewise as ew

    if not hasattr(ew, "KANLinear"):
        raise ImportError("this edgewise has no KANLinear")
    return ew.KANLinear(in_features, out_features, grid, DEGREE)


def _edgewise_lines(in_features: int, out_features: int, grid: int) -> nn.Module:
    import edgewise as ew

    return ew.KANLinear(in_features, out_features, grid, 1)


def _dense_compiled(in_features: int, out_features: int, grid: int) -> nn.Module:
    return torch.compile(DenseSplines(in_features, out_features, grid))


def _flashkan(in_features: int, out_features: int, grid: int) -> nn.Module:
    import flashkan

    return flashkan.KANLayer(in_features, out_features, grid_size=grid, spline_order=DEGREE)


def _inkan(in_features: int, out_features: int, grid: int) -> nn.Module:
    import inkan

    return inkan.KANLayer(in_features, out_features, grid_size=grid, spline_order=DEGREE)


def _inkan_direct(in_features: int, out_features: int, grid: int) -> nn.Module:
    import inkan

    layer = inkan.KANLayer(in_features, out_features, grid_size=grid, contraction="direct")
    return torch.compile(layer)


def _kanditioned(in_features: int, out_features: int, grid: int) -> nn.Module:
    from KANditioned.kan_layer import KANLayer

    # its default, sparse_matmul_csr, raises an error in this version
    settings = {"num_control_points": grid + 1, "spline_width": 2.0, "impl": "embedding_bag"}
    return torch.compile(KANLayer(in_features, out_features, "random_normal", **settings))


def _read_spline_weight(layer: nn.Module) -> Spline:
    return layer.spline_weight.permute(1, 2, 0), layer.base_weight


def _read_edgewise(layer: nn.Module) -> Spline:
    return layer.coef.permute(1, 2, 0), layer.base_weight


def _read_kanditioned(layer: nn.Module) -> Spline:
    return layer.kan_weight, None


REFERENCE = Contender("nn.Linear + SiLU", _linear)
OURS = Contender("edgewise", _edgewise, _read_edgewise)
OUR_LINES = Contender("edgewise (degree 1)", _edgewise_lines, _read_edgewise, degree=1)
CONTENDERS = (
    REFERENCE,
    OURS,
    OUR_LINES,
    Contender("efficient-kan's algorithm", DenseSplines, _read_spline_weight),
    Contender(
        "efficient-kan's algorithm, compiled", _dense_compiled, _read_spline_weight, compiled=True
    ),
    Contender("flashkan", _flashkan, _read_spline_weight, compiled=True),
    Contender("inkan", _inkan, _read_spline_weight, compiled=True),
    Contender("inkan, direct, compiled", _inkan_direct, _read_spline_weight, compiled=True),
    Contender(
        "kanditioned (degree 1), compiled", _kanditioned, _read_kanditioned, degree=1, compiled=True
    ),
)
BY_NAME = {contender.name: contender for contender in CONTENDERS}
