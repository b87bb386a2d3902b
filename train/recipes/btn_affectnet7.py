"""BTN on AffectNet-7 as its paper trains it: `btn`, slower, with balanced classes and more patches erased.

    python -m train.fit --model btn --recipe btn_affectnet7 --data data/affectnet7 --val test --init WEIGHTS

The paper's accuracy: 67.60 % (Table 2), from IR50 and MobileFaceNet pre-trained on MS-Celeb-1M; it gives no time.
"""

import dataclasses

from train.recipes import btn

RECIPE = dataclasses.replace(
    btn.RECIPE,
    augment=dataclasses.replace(btn.RECIPE.augment, erasing=1.0),
    batch_size=144,
    sampling="balanced",
    learning_rate=0.8e-6,
)
