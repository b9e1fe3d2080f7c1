"""The version, in the one place that packaging and the run record read."""

__version__ = "0.1.0"
