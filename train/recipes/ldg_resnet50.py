"""The label distribution generator on RAF-DB: stage one of EfficientFace's method, with single labels.

Zhao, Liu, Zhou: "Robust Lightweight Facial Expression Recognition Network with Label Distribution Training", AAAI 2021.

    python -m train.fit --model ldg_resnet50 --data data/raf-db --init WEIGHTS --out runs/ldg
    python -m train.fit --model efficientface --data data/raf-db --init WEIGHTS --teacher runs/ldg

The paper gives no settings for the generator, and the authors' code only its trained weights; these are EfficientFace's
own, which the code uses for everything that it trains.

The paper's accuracy: 86.93 % (Table 2), from weights pre-trained on MS-Celeb-1M; it gives no time.
"""

from train.recipes import efficientface

RECIPE = efficientface.RECIPE
