"""Training: from overrides to a run. ``pipeline.py`` is the table of contents."""

from seqlab.training.app import train as train
