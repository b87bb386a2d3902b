"""EfficientFace on CAER-S as the authors' code trains it: `efficientface`, longer and with the set's own colours.

    python -m train.fit --model efficientface --recipe efficientface_caer_s --data data/caer-s --val test

The paper's accuracy: 84.51 % with single labels (85.87 % with label distributions), from weights pre-trained on
MS-Celeb-1M, and 81.48 % from scratch; it gives no time.
"""

import dataclasses

from keras_fer.convert.published import EFFICIENTFACE
from train.recipes import efficientface

RECIPE = dataclasses.replace(
    efficientface.RECIPE,
    mean=EFFICIENTFACE["caer-s"].mean,
    std=EFFICIENTFACE["caer-s"].std,
    epochs=400,
    decay_factor=0.5,
    decay_epochs=50,
)
