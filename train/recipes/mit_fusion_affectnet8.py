"""MiT-fusion on AffectNet-8 as its paper trains it, which is as on FER2013.

    python -m train.fit --model mit_fusion --recipe mit_fusion_affectnet8 --data data/affectnet8 --init WEIGHTS

The paper's accuracy: 60.9 % (section IV), from weights pre-trained on ImageNet; it gives no time.
"""

from train.recipes import mit_fusion

RECIPE = mit_fusion.RECIPE
