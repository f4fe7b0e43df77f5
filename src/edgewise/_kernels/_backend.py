"""Which kernels run, and how the compiled ones become operators of torch."""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad

LIBRARY = torch.library.Library("edgewise", "DEF")


def _load() -> ModuleType | None:
    """Load the compiled core, or warn that it is not there."""
    if os.environ.get("EDGEWISE_KERNELS") == "torch":
        return None
    try:
        return importlib.import_module("edgewise._kernels._core")
    except ImportError as error:
        warnings.warn(
            f"The compiled core of edgewise could not be loaded ({error}). Everything works, in "
            "plain torch and more slowly. With a C++17 compiler, reinstall edgewise to build it.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


CORE = _load()


@dataclass(frozen=True)
class Kernels:
    """What the hot loops run on.

    Attributes:
        name: "native" for the compiled core, "torch" for its twin in plain torch.
        instructions: The core's instruction set, chosen on this machine: "avx512", "avx2" or
            "baseline". None for the twin.
        threads: How many threads they use: torch's number (`torch.set_num_threads`).
    """

    name: Literal["native", "torch"]
    instructions: str | None
    threads: int

    def __str__(self) -> str:
        how = f"{self.name} ({self.instructions})" if self.instructions else self.name
        return f"{how}, {self.threads} threads"


def kernels() -> Kernels:
    """Tell which kernels are in use.

    The compiled core serves tensors on the CPU. Where it was not built, and for tensors on other
    devices, the same kernels run in plain torch. `EDGEWISE_KERNELS=torch` in the environment asks
    for that everywhere.

    Example:
        >>> ew.kernels().name in ("native", "torch")
        True
    """
    if CORE is None:
        return Kernels("torch", None, torch.get_num_threads())
    return Kernels("native", CORE.chosen(), torch.get_num_threads())


def is_native(x: Tensor) -> bool:
    """Whether the core serves this tensor."""
    return (
        CORE is not None
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and forward_ad._current_level < 0  # the operators have no rule for forward mode
    )


def operator(schema: str, *, fake: Callable[..., Any]) -> Callable[[Callable], Callable]:
    """Make a function on plain CPU tensors an operator of torch.

    Torch's way to an operator takes longer than many a call: where no graph is built and nobody
    else looks on, the function is called itself.

    Args:
        schema: Its name, arguments and results, in torch's notation.
        fake: Gives results of the right shape, dtype and strides without computing them.
    """

    def register(kernel: Callable) -> Callable:
        name = LIBRARY.define(schema)
        LIBRARY.impl(name, kernel, "CPU")
        full_name = f"edgewise::{name}"
        torch.library.register_fake(full_name, fake, lib=LIBRARY)
        op = getattr(torch.ops.edgewise, name)
        torch.library.register_vmap(full_name, functools.partial(_one_by_one, op), lib=LIBRARY)

        @functools.wraps(kernel)
        def call(*arguments: Any) -> Any:
            return kernel(*arguments) if _is_alone() else op(*arguments)

        call.__name__ = op.__name__
        return call

    return register


def _is_alone() -> bool:
    """Whether there is no graph, no compiler, no transform of `torch.func` and no mode."""
    return not (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or peek_interpreter_stack() is not None
        or torch._C._len_torch_dispatch_stack()
    )


def differentiable(
    op: Callable,
    save: Callable[[Any, tuple, Any], None],
    backward: Callable[..., Any],
) -> Callable:
    """Give an operator its derivative, with and without a compiler that traces it.

    Operators with a registered derivative are what `torch.compile` and `torch.export` want; the
    transforms of `torch.func` want an `autograd.Function`.

    Args:
        op: The operator.
        save: Keeps what the way back needs in a context, from inputs and outputs.
        backward: Carries derivatives in the outputs back to the inputs.
    """
    torch.library.register_autograd(
        f"edgewise::{op.__name__}", backward, setup_context=save, lib=LIBRARY
    )

    class Function(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*arguments: Any) -> Any:
            return op(*arguments)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
            save(ctx, inputs, output)

        @staticmethod
        def backward(ctx: Any, *signals: Any) -> Any:
            return backward(ctx, *signals)

    def apply(*arguments: Any) -> Any:
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return op(*arguments)
        return Function.apply(*arguments)

    return apply


def _one_by_one(op: Callable, info: Any, in_dims: tuple, *arguments: Any) -> tuple[Any, Any]:
    """Map an operator over a dimension of its arguments."""
    results = []
    for n in range(info.batch_size):
        part = [
            argument if dim is None else argument.select(dim, n)
            for argument, dim in zip(arguments, in_dims, strict=True)
        ]
        results.append(op(*part))
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    stacked = tuple(torch.stack(column) for column in zip(*results, strict=True))
    return stacked, (0,) * len(stacked)


def threads(work: int) -> int:
    """Give the number of threads for so many multiplications: a small loop is not worth a team."""
    return torch.get_num_threads() if work > 200_000 else 1


def plain(*tensors: Tensor | None) -> list[Any]:
    """Give what the core reads as NumPy's arrays, of which it takes hold sooner."""
    return [None if t is None else t.detach().contiguous().numpy() for t in tensors]
