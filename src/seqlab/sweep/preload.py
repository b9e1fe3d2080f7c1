"""What the server that jobs are forked from has imported; importing it again would cost each job seconds."""

import gc

import lightning as lightning
import pandas as pandas
import torch as torch

from seqlab.runs.environment import own_git_state
from seqlab.sweep import worker as worker
from seqlab.training import app as app
from seqlab.training import pipeline as pipeline

own_git_state()  # the code of all jobs is what is imported here
gc.collect()
gc.freeze()  # what all jobs share stays shared: collecting it would copy its pages into each
