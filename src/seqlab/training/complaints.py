"""Hydra's and OmegaConf's complaints in the house's style: what was expected, what came, the likely fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from seqlab.config import conf_dir
from seqlab.errors import RequestError, SeqlabError, did_you_mean


@contextmanager
def in_house_style() -> Iterator[None]:
    """Turn an exception of Hydra's or OmegaConf's into a RequestError; seqlab's own pass, wherever they are wrapped."""
    try:
        yield
    except SeqlabError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise _own_error(error) or RequestError(_message(error)) from error


def _own_error(error: BaseException | None) -> SeqlabError | None:
    """Return seqlab's own error inside a chain of others."""
    while error is not None:
        if isinstance(error, SeqlabError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _message(error: BaseException) -> str:
    if isinstance(error, MissingConfigException) and error.options is not None:
        wanted = str(error.missing_cfg_file or "").removesuffix(".yaml")
        group, _, name = wanted.rpartition("/")
        return f"There is no {group or 'config'} {name!r}.{did_you_mean(name, error.options)}"
    text = str(error)
    missing = re.search(r"Could not override '([^']+)'", text)
    if missing and (conf_dir() / missing[1]).is_dir():
        return f"{missing[1]} is off unless it is added with a plus: +{missing[1]}=NAME."
    if missing:
        return f"There is no key {missing[1]!r}.{_near_key(error, missing[1])}"
    option = re.search(r"Could not find '([^']+)'\s+Available options in '([^']+)':\s+(.*)", text, re.DOTALL)
    if option:
        name = option[1].rpartition("/")[2]
        return f"There is no {option[2]} {name!r}.{did_you_mean(name, option[3].split())}"
    return " ".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Set the env"))


def _near_key(error: BaseException, key: str) -> str:
    """Return the nearest key beside the unknown one, where OmegaConf says which node it looked in."""
    cause: BaseException | None = error
    while cause is not None:
        node = getattr(cause, "parent_node", None)
        if node is not None:
            parent = key.rpartition(".")[0]
            names = [f"{parent}.{k}" if parent else str(k) for k in node]
            return did_you_mean(key, names) if len(names) < 40 else did_you_mean(key, names).partition(" Available")[0]
        cause = cause.__cause__ or cause.__context__
    return " See `seqlab train --cfg job` for all keys."
