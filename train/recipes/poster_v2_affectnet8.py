"""POSTER V2 on AffectNet-8 as the authors' code trains it, which is as on AffectNet-7.

    python -m train.fit --model poster_v2 --recipe poster_v2_affectnet8 --data data/affectnet8 --val test --init WEIGHTS

The paper's accuracy: 63.77 % (Table 3), from IR50 and MobileFaceNet pre-trained on MS-Celeb-1M; it gives no time.
"""

from train.recipes import poster_v2_affectnet7

RECIPE = poster_v2_affectnet7.RECIPE
