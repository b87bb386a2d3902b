"""EfficientFace on AffectNet-7 as the authors' code trains it: `efficientface`, shorter and with the set's own colours.

    python -m train.fit --model efficientface --recipe efficientface_affectnet7 --data data/affectnet7 --val test

The paper's accuracy: 63.70 % with label distributions, from weights pre-trained on MS-Celeb-1M; it gives no time.
"""

import dataclasses

from train.recipes import efficientface

RECIPE = dataclasses.replace(
    efficientface.RECIPE,
    mean=(0.55391484, 0.43522123, 0.3821877),
    std=(0.24837189, 0.21625527, 0.20221159),
    epochs=20,
    decay_epochs=5,
)
