"""``seqlab train``: Hydra's command line around a run, and the same from Python."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from seqlab.config import add_search_path, conf_dir, search_path, trust
from seqlab.errors import RequestError, SeqlabError
from seqlab.runs import Run
from seqlab.training.complaints import in_house_style
from seqlab.training.request import (
    CONFIG_NAME,
    Request,
    check_choices,
    compose_request,
    make_request,
    register_resolvers,
)

#: How often Python's garbage collector works while a model trains, as it does by itself: a cycle may hold tensors.
COLLECTED_EVERY = (700, 10, 10)
HELP = """usage: seqlab train [GROUP=OPTION ...] [KEY=VALUE ...] [-m]

Trains one model; with -m every combination of the values listed with commas.

  seqlab train data=sunspots cell=gru model.hidden_size=64 trainer.max_epochs=5
  seqlab train -m cell=rnn,lstm,gru 'seed=range(5)'

groups: {groups}
        `seqlab list GROUP` shows the options of one.

  -m, --multirun        sweep over the values listed with commas
  -c, --cfg job         print the config and leave; --resolve fills in the references
  --config-dir DIR      look for more configs there (or SEQLAB_CONFIG_PATH)
  --trust PACKAGE       let configs name classes of a package of your own (or SEQLAB_TRUST)
  --hydra-help          Hydra's own options

A completed run prints its record and is left alone, an interrupted one goes on, a failed one starts over;
overwrite=true moves the old folder aside first."""


def train(overrides: Sequence[str] = (), config_dirs: Sequence[str] = ()) -> Run:
    """Train from the command line's overrides and return the Run.

    Args:
        overrides: such as ``["data=co2", "cell=mingru", "seed=1"]``.
        config_dirs: further folders of configs.

    Raises:
        RequestError: an override or a value is wrong.
        RunError: training failed; the run folder's record says why.
    """
    from seqlab.training.pipeline import run_request

    with in_house_style():
        return run_request(compose_request(list(overrides), config_dirs))


def main(arguments: Sequence[str]) -> int:
    """Run ``seqlab train``.

    Args:
        arguments: what follows the command.
    """
    arguments = _own_options(list(arguments))
    if any(a in ("-h", "--help") for a in arguments):
        sys.stdout.write(HELP.format(groups=", ".join(_groups())) + "\n")
        return 0
    with in_house_style(), _hydra_arguments(arguments):
        _refusals.clear()
        check_choices(arguments)
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=CONFIG_NAME)(job)()
        if _refusals:
            raise _refusals.pop()
    return 0


#: A single run's error, kept aside so that Hydra adds no line of its own.
_refusals: list[SeqlabError] = []


def job(cfg: DictConfig) -> float | None:
    """Train one job of Hydra's and return the monitored validation score (for sweepers that search)."""
    from seqlab.training.pipeline import run_request

    try:
        with _original_arguments():
            request = job_request(cfg)
            gc.set_threshold(*COLLECTED_EVERY)
            run = run_request(request)
    except SeqlabError as error:
        if isinstance(error, RequestError):
            _remove_if_empty(Path(HydraConfig.get().runtime.output_dir))
        if HydraConfig.get().mode is not RunMode.RUN:
            raise
        _refusals.append(error)
        return None
    return run.metrics.get(run.record["monitor"])


def job_request(cfg: DictConfig) -> Request:
    """Return what Hydra's present job asks for.

    Args:
        cfg: the job's config, as Hydra hands it over: without Hydra's own part.
    """
    state = HydraConfig.get()
    full = OmegaConf.merge({"hydra": state}, cfg)
    assert isinstance(full, DictConfig)
    OmegaConf.set_struct(full, False)
    return make_request(full, list(state.overrides.task), Path(state.runtime.output_dir))


def _remove_if_empty(folder: Path) -> None:
    """Take away the folders that Hydra made for a job that was refused."""
    for place in (folder, folder.parent, folder.parent.parent):
        try:
            place.rmdir()
        except OSError:
            return


def _groups() -> list[str]:
    return sorted(p.name for p in conf_dir().iterdir() if p.is_dir() and p.name != "hydra")


def _own_options(arguments: list[str]) -> list[str]:
    """Take out ``--trust PACKAGE`` and ``--config-dir DIR``; both hold for whatever this process starts, too."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if name == "--trust":
            trust(value or next(rest, ""))
        elif name in ("--config-dir", "-cd"):
            add_search_path(value or next(rest, ""))
        else:
            kept.append(argument)
    return kept


def _options_first(arguments: list[str]) -> list[str]:
    """Return Hydra's options (with their values) ahead of the overrides: its parser takes no mixture of the two."""
    front: list[str] = []
    overrides: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        word = not argument.startswith(("-", "~", "+")) and "=" not in argument
        value = word and before.startswith("-") and before not in ("-m", "--multirun", "-r", "--run")
        (front if argument.startswith("-") or value else overrides).append(argument)
    return front + overrides


_typed: list[str] = []


@contextmanager
def _hydra_arguments(arguments: list[str]) -> Iterator[None]:
    """Show Hydra the arguments without the command, and get its exceptions instead of its exit."""
    register_resolvers()
    full_error, typed = os.environ.get("HYDRA_FULL_ERROR"), sys.argv
    extra = (
        [f"hydra.searchpath=[{','.join(f'file://{p}' for p in search_path()[1:])}]"] if len(search_path()) > 1 else []
    )
    _typed[:] = typed
    sys.argv = ["seqlab", *_options_first([*arguments, *extra])]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = typed
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


@contextmanager
def _original_arguments() -> Iterator[None]:
    """Show the arguments as typed: Lightning starts its other processes with them."""
    hidden = sys.argv
    sys.argv = _typed or hidden
    try:
        yield
    finally:
        sys.argv = hidden
