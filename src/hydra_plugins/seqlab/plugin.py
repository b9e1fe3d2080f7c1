"""seqlab's sweeper and launcher under the names that Hydra's configs use."""

from seqlab.sweep.launcher import LocalJobs
from seqlab.sweep.sweeper import GridSweeper


class SeqlabSweeper(GridSweeper):
    """``hydra/sweeper=seqlab``."""


class LocalLauncher(LocalJobs):
    """``hydra/launcher=local``."""
