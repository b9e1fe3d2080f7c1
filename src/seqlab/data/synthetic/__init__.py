"""Synthetic memory tasks, one module each: they need no data and separate cells best. Start at ``_base.py``."""

from seqlab.data.synthetic._base import Drawn as Drawn
from seqlab.data.synthetic._base import Synthetic as Synthetic
