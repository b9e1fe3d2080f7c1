"""Runs side by side: means with intervals, what each choice costs, and differences that can be trusted.

Neither torch nor Lightning is imported here, so that the command answers at once.
"""

from seqlab.compare.cli import main as main
from seqlab.compare.comparison import Comparison as Comparison
from seqlab.compare.comparison import Section as Section
from seqlab.compare.comparison import compare as compare
