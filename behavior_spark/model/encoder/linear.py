"""Linear layers by oneDNN with weights reordered once, for inference on a CPU.

torch computes float32 products by MKL, which on AMD processors reaches half the speed of
AVX-512: 110 GFLOPS a core against 250 by oneDNN (1,024 tokens, 384 x 1,536;
``benchmarks/kernels.py``). For bf16 torch uses oneDNN too, but reorders the weights in each call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

TYPICAL_TOKENS = 1024


class PackedLinear(torch.nn.Module):
    """``torch.nn.Linear`` for inference, followed by an exact GELU if ``gelu``."""

    def __init__(self, linear: torch.nn.Linear, *, gelu: bool = False) -> None:
        super().__init__()
        reorder = torch.ops.mkldnn._reorder_linear_weight
        self._weight = reorder(linear.weight.detach().contiguous(), TYPICAL_TOKENS)
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._after: tuple[Any, ...] = ("gelu", [], "none") if gelu else ("none", [], "")

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """From values [..., in] to [..., out]."""
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            values, self._weight, self._bias, *self._after
        )
        return outputs


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this torch and this processor support :class:`PackedLinear` for a dtype."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    with torch.random.fork_rng(devices=[]):  # do not change the caller's random state
        linear = torch.nn.Linear(16, 16, dtype=dtype)
    values = torch.linspace(-1, 1, 32, dtype=dtype).view(2, 16)
    try:
        with torch.inference_mode():
            return torch.allclose(PackedLinear(linear)(values), linear(values), atol=1e-2)
    except (RuntimeError, AttributeError):  # an older processor, or a torch built without it
        return False


def pack_linears(model: torch.nn.Module) -> Callable[[], None]:
    """Replace the linear layers of a frozen CPU model in place.

    Returns:
        A function that restores the replaced layers.
    """
    replaced: list[tuple[torch.nn.Module, str, torch.nn.Module]] = []

    def replace(parent: torch.nn.Module, name: str, new: torch.nn.Module) -> None:
        replaced.append((parent, name, getattr(parent, name)))
        setattr(parent, name, new)

    for parent in list(model.modules()):
        fused = _exact_gelu_after(parent)
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear:
                replace(parent, name, PackedLinear(child, gelu=fused and name == "dense"))
        if fused:
            replace(parent, "intermediate_act_fn", torch.nn.Identity())

    def undo() -> None:
        for parent, name, old in replaced:
            setattr(parent, name, old)

    return undo


def _exact_gelu_after(module: Any) -> bool:
    """Whether a module is BERT's ``Intermediate``: a layer ``dense``, then an exact GELU."""
    return (
        type(module).__name__.endswith("Intermediate")
        and type(getattr(module, "dense", None)) is torch.nn.Linear
        and _is_exact_gelu(getattr(module, "intermediate_act_fn", None))
    )


def _is_exact_gelu(function: Any) -> bool:
    own = isinstance(function, torch.nn.GELU) and function.approximate == "none"
    return own or type(function).__name__ == "GELUActivation"
