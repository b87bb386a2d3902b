"""POSTER V2 on CAER-S as the authors' code trains it: `poster_v2`, with a patch erased from every picture.

    python -m train.fit --model poster_v2 --recipe poster_v2_caer_s --data data/caer-s --val test --init WEIGHTS

The paper's accuracy: 92.98 % (section 4.2; the authors' read me says 93.00 %), from IR50 and MobileFaceNet pre-trained
on MS-Celeb-1M; it gives no time.
"""

import dataclasses

from train.recipes import poster_v2

RECIPE = dataclasses.replace(
    poster_v2.RECIPE,
    augment=dataclasses.replace(poster_v2.RECIPE.augment, erasing=1.0, erasing_scale=(0.05, 0.05)),
    learning_rate=4e-5,
)
