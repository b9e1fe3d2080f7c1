"""Runs side by side: means with intervals, what each choice costs, and differences that can be trusted.

Neither torch nor Lightning is imported here, so that the command answers at once.
"""

import sys
from types import ModuleType
from typing import Any

from seqlab.compare.cli import main as main
from seqlab.compare.comparison import Comparison as Comparison
from seqlab.compare.comparison import Section as Section
from seqlab.compare.comparison import compare as compare


class _Callable(ModuleType):
    """This package, which may be called like its function: importing it binds it to the name ``seqlab.compare``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Comparison:
        return compare(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
