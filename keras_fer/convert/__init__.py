"""Weights from other people's files: the authors' PyTorch checkpoints, torchvision's and Hugging Face's.

No PyTorch is needed, and no code from the files is run.
"""

from keras_fer.convert.checkpoint import read_checkpoint
from keras_fer.convert.state_dict import load_state_dict

__all__ = ["load_state_dict", "read_checkpoint"]
