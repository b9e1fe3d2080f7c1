"""What a sweep does before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence


def start_early(arguments: Sequence[str]) -> None:
    """Start the server that local jobs are forked from: it imports torch while this process does so too.

    Args:
        arguments: the command line's, which may choose another launcher, or ask for something else than a sweep.
    """
    others = ("hydra/launcher=", "--help", "-h", "--hydra-help", "--cfg", "-c", "--info")
    if not any(a.startswith(others) and a != "hydra/launcher=local" for a in arguments):
        from seqlab.sweep.processes import warm_up

        warm_up()
