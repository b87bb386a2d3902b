"""EfficientFace on FER2013 without pre-trained weights, on two cores; ours.

    python -m train.fit --model efficientface --recipe efficientface_scratch --data data/fer2013

64 px leave 16x16 places behind the max pool. SGD: AdamW at 1e-3 starts this model far slower (a loss of 1.73 against
1.61 after one epoch). Moderate augmentation, a warm-up and averaged weights, as short runs from scratch like them.

59.0 % on PublicTest after 28 minutes on one core; the training accuracy is no higher, so more epochs would help.
"""

from train.augment import Augment
from train.recipes import Recipe

RECIPE = Recipe(
    input_size=64,
    augment=Augment(flip=0.5, rotation=10, scale=(0.88, 1.12), shift=0.1, brightness=0.2, contrast=0.2),
    batch_size=64,
    epochs=18,
    optimizer="sgd",
    learning_rate=0.1,
    nesterov=True,
    weight_decay=5e-4,
    ema=0.995,
    schedule="cosine",
    warmup=0.1,
    label_smoothing=0.1,
)
