"""What a run leaves behind: its folder's name, its record, and how both are written and found. No torch here."""

from seqlab.runs.record import METRICS_FILE as METRICS_FILE
from seqlab.runs.record import RECORD_FILE as RECORD_FILE
from seqlab.runs.record import Run as Run
from seqlab.runs.record import find_runs as find_runs
