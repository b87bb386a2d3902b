"""POSTER V2 on AffectNet-7 as the authors' code trains it: `poster_v2`, slower, with balanced classes.

    python -m train.fit --model poster_v2 --recipe poster_v2_affectnet7 --data data/affectnet7 --val test --init WEIGHTS

The paper's accuracy: 67.49 % (Table 3), from IR50 and MobileFaceNet pre-trained on MS-Celeb-1M; it gives no time.
"""

import dataclasses

from train.recipes import poster_v2

RECIPE = dataclasses.replace(
    poster_v2.RECIPE,
    augment=dataclasses.replace(poster_v2.RECIPE.augment, erasing=1.0, erasing_scale=(0.05, 0.05)),
    sampling="balanced",
    learning_rate=1e-6,
)
