"""EfficientFace on RAF-DB as the authors' code trains it, with single labels or (`--teacher`) with label distributions.

Zhao, Liu, Zhou: "Robust Lightweight Facial Expression Recognition Network with Label Distribution Training", AAAI 2021,
section "Implementation Details"; what the paper leaves out is the code's.

    python -m train.fit --model efficientface --recipe efficientface --data data/raf-db --val test --init WEIGHTS

SGD 0.1 with momentum 0.9 and an L2 of 1e-4 on all weights, a tenth of the rate every 30 of 100 epochs, batch 128,
random resized crop to 224 px, flip. Mean and deviation are the data set's own, so other sets have recipes of their own.
The authors choose the epoch on the test set (`--val test`); leave that out for an honest figure.

The paper's accuracy: 85.66 % with single labels (88.36 % with label distributions), from weights pre-trained on
MS-Celeb-1M, and 83.83 % from scratch; it gives no time.
"""

from keras_fer.convert.published import EFFICIENTFACE
from train.augment import Augment
from train.recipes import Recipe

RECIPE = Recipe(
    input_size=224,
    mean=EFFICIENTFACE["raf-db"].mean,
    std=EFFICIENTFACE["raf-db"].std,
    augment=Augment(flip=0.5, crop_scale=(0.08, 1.0), crop_ratio=(3 / 4, 4 / 3)),
    batch_size=128,
    epochs=100,
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    decay_norms_and_biases=True,
    schedule="step",
    decay_factor=0.1,
    decay_epochs=30,
)
