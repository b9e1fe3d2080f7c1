"""Published results: run what a preset's header promises, set it beside the paper's number, keep the ledger."""

from seqlab.reproduce.cli import main as main
