"""EfficientFace on AffectNet-7 as the authors' code trains it: `efficientface`, shorter and with the set's own colours.

    python -m train.fit --model efficientface --recipe efficientface_affectnet7 --data data/affectnet7 --val test

The paper's accuracy: 63.70 % with label distributions, from weights pre-trained on MS-Celeb-1M; it gives no time.
"""

import dataclasses

from keras_fer.convert.published import EFFICIENTFACE
from train.recipes import efficientface

RECIPE = dataclasses.replace(
    efficientface.RECIPE,
    mean=EFFICIENTFACE["affectnet7"].mean,
    std=EFFICIENTFACE["affectnet7"].std,
    epochs=20,
    decay_epochs=5,
)
