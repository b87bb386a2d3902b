"""EfficientFace on FER2013 without pre-trained weights, on two cores; ours.

    python -m train.fit --model efficientface --recipe efficientface_scratch --data data/fer2013 --val public

96 px leave 24x24 places behind the max pool. AdamW, since SGD starts ShuffleNet-like models slowly; moderate
augmentation, a warm-up and averaged weights, as short runs from scratch like them.
"""

from train.augment import Augment
from train.recipes import Recipe

RECIPE = Recipe(
    input_size=96,
    augment=Augment(flip=0.5, rotation=10, scale=(0.88, 1.12), shift=0.1, brightness=0.2, contrast=0.2),
    batch_size=128,
    epochs=15,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.05,
    clip_norm=1.0,
    ema=0.995,
    schedule="cosine",
    warmup=0.15,
    label_smoothing=0.1,
)
