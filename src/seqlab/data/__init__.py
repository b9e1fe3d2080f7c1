"""Data modules: sources become batches. Start at ``_base.py`` for the contract."""

from seqlab.data._base import SPLITS as SPLITS
from seqlab.data._base import Batch as Batch
from seqlab.data._base import Examples as Examples
from seqlab.data._base import SequenceData as SequenceData
from seqlab.data._base import Spec as Spec
from seqlab.data._base import Split as Split
from seqlab.data.loader import Batches as Batches
from seqlab.data.loader import Loader as Loader
