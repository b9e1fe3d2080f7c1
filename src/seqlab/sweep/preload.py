"""What the server that jobs are forked from has imported; importing it again would cost each job seconds."""

import gc
import importlib

from seqlab.runs.environment import own_git_state

MODULES = ("torch", "lightning", "pandas", "seqlab.sweep.worker", "seqlab.training.app", "seqlab.training.pipeline")

gc.disable()  # importing makes next to no garbage, and looking for it would take a sixth of the time
for name in MODULES:
    importlib.import_module(name)
own_git_state()  # the code of all jobs is what is imported here
gc.enable()
gc.collect()
gc.freeze()  # what all jobs share stays shared: collecting it would copy its pages into each
