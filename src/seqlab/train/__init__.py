"""Training: from overrides to a run. ``pipeline.py`` is the table of contents."""

from seqlab.train.app import train as train
