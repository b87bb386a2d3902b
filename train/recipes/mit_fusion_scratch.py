"""MiT-fusion on FER2013 without pre-trained weights, on two cores; ours.

    python -m train.fit --model mit_fusion --recipe mit_fusion_scratch --data data/fer2013

At 64 px the first stage still sees 16x16 tokens; below that MiT's 7x7 stem with its stride of 4 starves. Moderate
augmentation, a warm-up and averaged weights, as short runs from scratch like them.

59.0 % on PublicTest after 33 minutes on one core; the training accuracy is no higher, so more epochs would help.
"""

from train.augment import Augment
from train.recipes import Recipe

RECIPE = Recipe(
    input_size=64,
    augment=Augment(flip=0.5, rotation=10, scale=(0.88, 1.12), shift=0.1, brightness=0.2, contrast=0.2),
    model_options={"dropout": 0.2, "drop_path_rate": 0.0},
    batch_size=64,
    epochs=14,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    clip_norm=1.0,
    ema=0.995,
    schedule="cosine",
    warmup=0.15,
    label_smoothing=0.1,
)
