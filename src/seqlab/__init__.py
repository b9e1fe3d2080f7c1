"""Compare recurrent sequence models fairly, over seeds, on your own data.

    import seqlab
    rnn = seqlab.nn.RNN("mingru", input_size=8, hidden_size=64)
    run = seqlab.train(["data=co2", "cell=gru", "seed=1"])
    seqlab.compare(seqlab.find_runs("outputs/co2"))

Names are imported when first used, so that ``import seqlab`` loads neither torch nor Lightning nor Hydra.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from seqlab._version import __version__ as __version__

if TYPE_CHECKING:
    from seqlab import cells as cells
    from seqlab import data as data
    from seqlab import nn as nn
    from seqlab import tasks as tasks
    from seqlab.compare import compare as compare
    from seqlab.config import options as options
    from seqlab.runs import Run as Run
    from seqlab.runs import find_runs as find_runs
    from seqlab.training import train as train

#: No dependency reports home, unless the person has said otherwise.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_ERROR_REPORTING": "false",
}.items():
    os.environ.setdefault(_name, _value)

_FROM = {
    "compare": "seqlab.compare",
    "find_runs": "seqlab.runs",
    "options": "seqlab.config",
    "Run": "seqlab.runs",
    "train": "seqlab.training",
}
_PACKAGES = ("cells", "data", "nn", "tasks")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"seqlab.{name}")
    if name in _FROM:
        value = getattr(importlib.import_module(_FROM[name]), name)
        globals()[name] = value  # importing the package bound its module to the name
        return value
    raise AttributeError(f"module 'seqlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_FROM, *_PACKAGES])
