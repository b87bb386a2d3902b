"""Quantization-aware fine-tuning of any trained model for its int8 file; ours.

    python -m export.qat --weights runs/mit --data data/fer2013 --out runs/mit_qat

`model_options` and `input_size` are those of the weights. A low rate, since only rounding is to be learned; Adam, whose
steps do not depend on how large a limit's gradient is; the training pictures of the models' own recipes; no dropout.
`NAME_qat` is taken instead where a model has a recipe of its own.
"""

from train.augment import Augment
from train.recipes import Recipe

RECIPE = Recipe(
    augment=Augment(flip=0.5, rotation=10, scale=(0.88, 1.12), shift=0.1, brightness=0.2, contrast=0.2),
    batch_size=64,
    epochs=3,
    optimizer="adam",
    learning_rate=2e-5,
    schedule="cosine",
)
