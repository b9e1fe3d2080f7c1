"""What a sweep does before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from seqlab.errors import RequestError

#: Launchers of other packages: which package, and the extra of seqlab that brings it.
EXTRAS = {
    "slurm": ("hydra_submitit_launcher", "slurm"),
    "submitit_slurm": ("hydra_submitit_launcher", "slurm"),
    "submitit_local": ("hydra_submitit_launcher", "slurm"),
    "ray": ("hydra_ray_launcher", "ray"),
}
#: Options with which Hydra answers and leaves.
QUESTIONS = ("--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i")


def prepare(arguments: Sequence[str]) -> None:
    """Start the server that local jobs are forked from: it imports torch while this process does so too.

    Args:
        arguments: the command line's, which may choose another launcher, or ask for something else than a sweep.

    Raises:
        RequestError: the launcher's package is not installed.
    """
    chosen = [a.partition("=")[2] for a in arguments if a.startswith("hydra/launcher=")]
    name = chosen[-1] if chosen else "local"
    if name in EXTRAS:
        package, extra = EXTRAS[name]
        if find_spec(f"hydra_plugins.{package}") is None:
            raise RequestError(f"hydra/launcher={name} needs a further package: pip install 'seqlab[{extra}]'.")
    elif name == "local" and not any(a.startswith(QUESTIONS) for a in arguments):
        from seqlab.sweep.processes import warm_up

        warm_up()
