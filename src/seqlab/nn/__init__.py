"""Layers, directions, padding, blocks and whole models for any cell. Start at ``rnn.py`` and ``model.py``."""

from seqlab.nn.block import Block as Block
from seqlab.nn.block import BlockStack as BlockStack
from seqlab.nn.block_model import BlockModel as BlockModel
from seqlab.nn.encoder import Encoder as Encoder
from seqlab.nn.heads import Encoding as Encoding
from seqlab.nn.model import ModelOptions as ModelOptions
from seqlab.nn.model import SequenceModel as SequenceModel
from seqlab.nn.pooling import make_pooling as make_pooling
from seqlab.nn.rnn import RNN as RNN
from seqlab.nn.stack import Stack as Stack
from seqlab.nn.stack_model import StackModel as StackModel
from seqlab.nn.window_norm import WindowNorm as WindowNorm
