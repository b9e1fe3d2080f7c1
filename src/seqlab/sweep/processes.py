"""One process a job, forked from a server that has torch imported; none outlives the sweep, none takes others down."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any

from seqlab.errors import RunError

PRELOAD = "seqlab.sweep.preload"
#: Seconds that a process has to save its state and leave.
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Ended:
    """How a job's process ended.

    Attributes:
        value: what its function returned.
        crash: how the process ended, where it could not return.
    """

    value: Any = None
    crash: str | None = None


def warm_up() -> None:
    """Start the server that jobs are forked from, if it does not run yet; it imports torch while this process goes on.

    It has one thread: the threads of OpenMP would not live on in its forks. It and they are deaf to Ctrl-C, which
    reaches the sweep; the sweep then asks its jobs to leave.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload([PRELOAD])
    with _variables(OMP_NUM_THREADS="1", PYTORCH_NVML_BASED_CUDA_CHECK="1"), _deaf_to_interrupts():
        forkserver.ensure_running()


@dataclass
class Child:
    """A job's process.

    Attributes:
        slot: which share of the machine it has.
        process: the process.
        reply: where its answer comes from.
    """

    slot: int
    process: Any
    reply: Connection
    answer: Ended | None = field(default=None)

    @classmethod
    def start(cls, function: Callable[[], Any], slot: int, variables: dict[str, str]) -> Child:
        """Run ``function`` in a new process, with ``variables`` added to its environment."""
        warm_up()
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe(duplex=False)
        variables = {**os.environ, **variables}  # the server's may be older
        process = context.Process(target=_main, args=(theirs, function, variables))
        process.start()
        theirs.close()
        return cls(slot, process, ours)

    def ended(self) -> Ended | None:
        """Return how it ended; None while it runs."""
        if self.answer is None and self.reply.poll():
            with contextlib.suppress(EOFError, OSError):
                self.answer = self.reply.recv()
        if self.process.is_alive():
            return None
        self.process.join()
        self.answer = self.answer or Ended(crash=_how(self.process.exitcode))
        return self.answer

    def result(self) -> Any:
        """Wait for what its function returns.

        Raises:
            RunError: the process ended without an answer.
        """
        while (ended := self.ended()) is None:
            wait([self])
        if ended.crash:
            raise RunError(ended.crash)
        return ended.value


def wait(children: list[Child], seconds: float | None = None) -> None:
    """Wait until one of ``children`` answers or ends."""
    awaited = [c.process.sentinel for c in children] + [c.reply for c in children if c.answer is None]
    multiprocessing.connection.wait(awaited, seconds)


def stop(children: list[Child]) -> None:
    """Ask ``children`` to save their state and leave; end those that don't, or all at a second Ctrl-C."""
    try:
        for child in children:
            child.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in children:
            child.process.join(max(0.0, deadline - time.monotonic()))
    finally:
        for child in children:
            if child.process.is_alive():
                child.process.kill()


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (often the system's answer when memory runs out)" if -code == signal.SIGKILL else ""
        return f"The job's process was ended by {name}{hint}."
    return f"The job's process ended with exit code {code} and without a word."


def _main(reply: Connection, function: Callable[[], Any], variables: dict[str, str]) -> None:
    """Run in the child: be a good child, then do the work and answer."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True, name="seqlab-orphan").start()
    os.environ.clear()
    os.environ.update(variables)
    answer = Ended(value=function())
    with contextlib.suppress(OSError):  # nobody is left to hear it
        reply.send(answer)


def _leave_with(sentinel: int) -> None:
    """End this process when its parent has died: politely first, for its state can still be saved."""
    multiprocessing.connection.wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started here ignore Ctrl-C from their first instant on."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _variables(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
