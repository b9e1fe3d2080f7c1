"""Runs on one self-contained HTML page."""

from seqlab.report.cli import main as main
from seqlab.report.cli import report as report
