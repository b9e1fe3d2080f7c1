"""What surrounds a run: its log file, what is kept off the screen, signals, and torch's global switches."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import platform
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException


class _LogHandler(logging.FileHandler):
    """Goes without a log where none can be written: the error that says why must not be lost over it."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: the run's own error says it."""


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Keep seqlab's and Lightning's messages in train.log."""
    handler = _LogHandler(folder / "train.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("seqlab", "lightning.pytorch")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's advice off the screen where seqlab has decided otherwise; it stays in the log file."""
    pytorch = logging.getLogger("lightning.pytorch")
    handlers, propagate = pytorch.handlers[:], pytorch.propagate
    pytorch.handlers, pytorch.propagate = [], False
    with warnings.catch_warnings():
        for message in (
            ".*does not have many workers.*",  # whole batches are gathered at once: workers seldom pay
            ".*smaller than the logging interval.*",  # nothing is logged by the step
            ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run
            ".*barrier.*device.*",  # chosen by Lightning
            ".*You are using `torch.load` with `weights_only=False`.*",
            ".*GPU available but not used.*",  # trainer=cpu says so
            ".*could not find the monitored key.*",  # a run too short for validation keeps its last weights
            ".*LeafSpec.*is deprecated.*",  # Lightning's own use of torch
            ".*smallest subnormal.*",  # NumPy, of kept_switches
        ):
            warnings.filterwarnings("ignore", message)
        try:
            yield
        finally:
            pytorch.handlers, pytorch.propagate = handlers, propagate


class Terminated(SIGTERMException):
    """Leaves with the exit code that SIGTERM is known by."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def orderly_signals() -> Iterator[None]:
    """Leave in order on SIGTERM, and on SLURM's warnings of a nearing end (SIGUSR1, SIGUSR2) likewise.

    Who listened to such a warning before hears it once the run has left: submitit then has the job requeued.
    """
    heard: list[int] = []

    def terminate(number: int, _: Any) -> None:
        heard.append(number)
        signal.raise_signal(signal.SIGTERM)

    wanted: dict[str, Callable[..., None]] = {"SIGTERM": _leave, "SIGUSR1": terminate, "SIGUSR2": terminate}
    try:
        with _handlers({name: handler for name, handler in wanted.items() if hasattr(signal, name)}):
            yield
    finally:
        for number in heard:
            if callable(signal.getsignal(number)):
                signal.raise_signal(number)


@contextmanager
def steps_end_first() -> Iterator[None]:
    """Let a step that SIGTERM finds running end and be saved: ``Resume`` then leaves."""
    with _handlers({"SIGTERM": signal.SIG_DFL}):  # Lightning puts its own in place while it fits
        yield


@contextmanager
def _handlers(handlers: Mapping[str, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread may
        yield
        return
    before = {name: signal.signal(getattr(signal, name), handler) for name, handler in handlers.items()}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@contextmanager
def imports_uncollected() -> Iterator[None]:
    """Keep Python's garbage collector from going through all that was imported: half a second, amid the steps."""
    first = gc.get_freeze_count() == 0
    if first:
        gc.freeze()
    try:
        yield
    finally:
        if first:
            gc.unfreeze()


#: glibc's numbers of its own settings (malloc.h), and the most that it lets itself come to by observing a program.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_MOST_OBSERVED, _USUAL_BLOCKS, _NO_LIMIT = 32 << 20, 65_536, 2**31 - 1


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep the memory that tensors give back while a run lasts: the next step asks for as much again.

    By itself glibc returns large blocks to the system, and a step then pays a page fault for every 4 KB it gets anew:
    an LSTM of 256 units took 137 ms a step that way and 107 ms this way, at a few percent more memory
    (``benchmarks/cells.py --returned`` measures without). Other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    glibc = ctypes.CDLL(None)
    glibc.mallopt(_MMAP_MAX, 0)
    glibc.mallopt(_TRIM_THRESHOLD, _NO_LIMIT)
    try:
        yield
    finally:
        glibc.mallopt(_MMAP_MAX, _USUAL_BLOCKS)
        glibc.mallopt(_MMAP_THRESHOLD, _MOST_OBSERVED)
        glibc.mallopt(_TRIM_THRESHOLD, 2 * _MOST_OBSERVED)
        glibc.malloc_trim(0)


def _leave(*_: Any) -> None:
    raise Terminated


@contextmanager
def kept_switches() -> Iterator[None]:
    """Give torch's global switches back as they were; meanwhile memory is not filled before it is overwritten.

    torch does so where it is to be deterministic, for programs that read what nobody wrote; it costs a tenth of a step.

    Numbers below float32's normal range (1.2e-38) meanwhile count as 0: a CPU computes with them several times more
    slowly, and a gradient that vanishes over hundreds of steps is full of them. Threads take this over from the one
    that first starts them, so it comes before the first parallel work of a process.
    """
    before, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # typed as a module without its one property
    filled, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    flushed = not torch.tensor(1e-40).mul(0.5).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn)
        memory.fill_uninitialized_memory = filled
        torch.set_flush_denormal(flushed)
