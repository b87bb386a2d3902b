"""BTN on AffectNet-8 as its paper trains it: `btn_affectnet7` at another rate.

    python -m train.fit --model btn --recipe btn_affectnet8 --data data/affectnet8 --val test --init WEIGHTS

The paper's accuracy: 64.29 % (Table 3), from IR50 and MobileFaceNet pre-trained on MS-Celeb-1M; it gives no time.
"""

import dataclasses

from train.recipes import btn_affectnet7

RECIPE = dataclasses.replace(btn_affectnet7.RECIPE, learning_rate=1e-6)
