"""The LightningModules: one a kind of data. Start at ``_base.py``."""

from seqlab.tasks._base import MeanLoss as MeanLoss
from seqlab.tasks._base import SequenceTask as SequenceTask
from seqlab.tasks.classification import Classification as Classification
from seqlab.tasks.classification import Labelling as Labelling
from seqlab.tasks.forecasting import Forecasting as Forecasting
from seqlab.tasks.regression import NextStep as NextStep
from seqlab.tasks.regression import Regression as Regression
