"""The one boundary where what a person hands to an RNN is checked; below it, shapes are taken for granted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlab.cells import Aux
from seqlab.cells._base import zero_padding
from seqlab.errors import RequestError

_WHOLE = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


def check_features(x: Tensor, input_size: int, like: Tensor) -> None:
    """Raise RequestError unless x is (B, T, I), T at least 1, and of the device and the kind of number of ``like``."""
    if not isinstance(x, Tensor):
        raise RequestError(f"x must be a tensor (B, T, {input_size}); got {type(x).__name__}.")
    if not x.is_floating_point():
        raise RequestError(f"x must hold floating-point features; got {x.dtype}. Embed tokens first.")
    if x.dim() != 3 or x.shape[2] != input_size or not x.shape[1]:
        hint = " Add the batch axis with x.unsqueeze(0)." if x.dim() == 2 and x.shape[1] == input_size else ""
        raise RequestError(f"x must be (B, T, {input_size}) with T at least 1; got {tuple(x.shape)}.{hint}")
    if x.device != like.device:
        raise RequestError(f"x is on {x.device} and the parameters on {like.device}; move one with .to(...).")
    if x.dtype != like.dtype and not torch.is_autocast_enabled(x.device.type):
        raise RequestError(f"x is {x.dtype} and the parameters {like.dtype}; cast one with .to(...).")


def check_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    """Return the lengths (B,) on x's device.

    Raises:
        RequestError: they are not B whole numbers from 1 to T.
    """
    try:
        lengths = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RequestError(f"lengths must be whole numbers, one a row; got {lengths!r}.") from error
    batch, steps = x.shape[:2]
    if lengths.dtype not in _WHOLE:
        raise RequestError(f"lengths must be whole numbers; got {lengths.dtype}.")
    if lengths.shape != (batch,):
        raise RequestError(f"lengths must have one entry for each of the {batch} rows; got {tuple(lengths.shape)}.")
    if not torch.compiler.is_compiling():
        wrong = ((lengths < 1) | (lengths > steps)).nonzero().flatten().tolist()
        if wrong:
            raise RequestError(
                f"lengths must be from 1 to T={steps}; row {wrong[0]} has {int(lengths[wrong[0]])}."
                " Leave out rows without a step, or cut what is too long."
            )
    return lengths.to(x.device, torch.int64)


def check_finite(x: Tensor, name: str = "x") -> None:
    """Raise RequestError naming the first row and step of x (B, T, ...) that hold NaN or infinity."""
    wrong = (~x.isfinite()).nonzero()
    if len(wrong):
        row, step, *feature = wrong[0].tolist()
        place = f"batch index {row}, step {step}" + (f", feature {feature[0]}" if feature else "")
        raise RequestError(
            f"{name} must be finite; {len(wrong)} values are not, the first at {place}."
            " Fill missing values first, or give a mask to a cell that reads one (grud)."
        )


def check_aux(aux: Aux, x: Tensor, lengths: Tensor | None) -> Aux:
    """Return aux with zeros at padded steps.

    Raises:
        RequestError: it isn't an Aux, or mask or delta is not (B, T, I), or time not (B, T), on x's device.
    """
    if not isinstance(aux, Aux):
        raise RequestError(f"aux must be a seqlab.cells.Aux(mask, delta, time); got {type(aux).__name__}.")
    for name, value in aux._asdict().items():
        expected = tuple(x.shape[:2] if name == "time" else x.shape)
        if value is None:
            continue
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if got != expected:
            raise RequestError(f"aux.{name} must be a tensor {expected}; got {got}.")
        if value.device != x.device:
            raise RequestError(f"aux.{name} is on {value.device} and x on {x.device}; move one with .to(...).")
    return Aux(*(a if a is None else zero_padding(a.to(x.dtype), lengths) for a in aux))


def check_state(state: Any, expected: Any, where: str = "state") -> None:
    """Raise RequestError unless ``state`` has the nesting, shapes, device and kind of number of ``expected``."""
    if isinstance(expected, Tensor):
        if not isinstance(state, Tensor):
            raise RequestError(f"{where} must be a tensor {tuple(expected.shape)}; got {type(state).__name__}.")
        if state.shape != expected.shape:
            raise RequestError(f"{where} must be {tuple(expected.shape)}; got {tuple(state.shape)}.")
        if state.device != expected.device:
            raise RequestError(f"{where} is on {state.device} and the parameters on {expected.device}.")
        if _kind(state) != _kind(expected):
            raise RequestError(f"{where} must hold numbers like {expected.dtype}; got {state.dtype}.")
        return
    if not isinstance(state, tuple | list) or len(state) != len(expected):
        got = f"{len(state)} parts" if isinstance(state, tuple | list) else type(state).__name__
        raise RequestError(
            f"{where} must be a tuple of {len(expected)}; got {got}."
            " The state has one cell state a layer, a pair where bidirectional: see RNN.initial_state."
        )
    for number, (part, like) in enumerate(zip(state, expected, strict=True)):
        check_state(part, like, f"{where}[{number}]")


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    """Return what tells real, complex and whole numbers apart; precision is left out, for autocast changes it."""
    return tensor.is_floating_point(), tensor.is_complex()
