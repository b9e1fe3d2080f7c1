"""Make the fabricated run folders importable: tests are collected without touching the import path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
