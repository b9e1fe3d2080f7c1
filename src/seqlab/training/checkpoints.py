"""Checkpoint files: written whole, the previous one kept, read without running code."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from seqlab.errors import RequestError, RunError
from seqlab.runs.files import replacing

FOLDER = "checkpoints"
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs and renames; an older last.ckpt becomes previous.ckpt first."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path`` as a whole or not at all."""
        target = Path(path)
        target.parent.mkdir(exist_ok=True)  # not its parents: a run folder deleted under a run is an error
        with replacing(target) as file:
            torch.save(checkpoint, file)
            if target.name == LAST and target.exists():
                file.flush()
                os.fsync(file.fileno())
                target.replace(target.with_name(PREVIOUS))

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Read a checkpoint without ever running code from it."""
        return read_checkpoint(Path(path))


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are accepted.

    Raises:
        RequestError: there is no such file.
        RunError: the file is truncated or corrupt, or holds code.
    """
    if not file.is_file():
        raise RequestError(f"Expected a checkpoint; {file} does not exist.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle of another protocol, on its way to being refused
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise RunError(
                f"{file} holds more than tensors and plain values, and loading it could run code; it is refused."
                " Save the weights alone (torch.save(model.state_dict(), ...)) where it comes from."
            ) from None
        raise RunError(f"{file} is corrupt: {error}.") from None
    except Exception as error:  # a damaged file may raise anything
        first = str(error).partition("\n")[0] or type(error).__name__
        raise RunError(f"{file} is truncated or corrupt: {first}.") from None
    if not isinstance(checkpoint, dict):
        raise RunError(f"{file} holds a {type(checkpoint).__name__}; expected a checkpoint, which is a dict.")
    return checkpoint


def latest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest complete checkpoint of a run and its content; None where there is none.

    A corrupt last.ckpt falls back to the one before it, with a warning.
    """
    for name in (LAST, PREVIOUS):
        file = folder / FOLDER / name
        if not file.exists():
            continue
        try:
            return file, read_checkpoint(file)
        except RunError as error:
            warnings.warn(f"{error} Trying the checkpoint before it.", stacklevel=2)
    return None


def model_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the model's weights from a run folder, a checkpoint, or a bare state dict.

    Raises:
        RequestError: there is nothing to read, or it holds no weights.
        RunError: the file is corrupt or holds code.
    """
    file = path
    if path.is_dir():
        folder = path / FOLDER
        file = next((folder / n for n in (BEST, LAST) if (folder / n).exists()), folder / BEST)
    checkpoint = read_checkpoint(file)
    state = checkpoint.get("state_dict", checkpoint)
    weights = {
        k.removeprefix("model."): v for k, v in state.items() if isinstance(v, torch.Tensor) and k.startswith("model.")
    }
    if not weights and "state_dict" not in checkpoint:
        weights = {k: v for k, v in state.items() if isinstance(v, torch.Tensor)}
    if not weights:
        raise RequestError(f"{file} holds no weights of a model.")
    return weights


def weights_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a model's weights: names in order, then bytes.

    Args:
        path: as for ``model_weights``.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model_weights(path).items()):
        plain = value.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)} ".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
