"""The plain CNN on any set of small faces, without pre-trained weights, on one core; ours.

python -m train.fit --model plain_cnn --data data/mine
"""

from train.augment import Augment
from train.recipes import Recipe

RECIPE = Recipe(
    input_size=48,
    augment=Augment(flip=0.5, rotation=10, scale=(0.88, 1.12), shift=0.1, brightness=0.2, contrast=0.2),
    batch_size=128,
    epochs=20,
    optimizer="sgd",
    learning_rate=0.1,
    nesterov=True,
    weight_decay=5e-4,
    ema=0.995,
    schedule="cosine",
    warmup=0.15,
    label_smoothing=0.1,
)
