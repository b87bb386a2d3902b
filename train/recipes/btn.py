"""BTN on RAF-DB as its paper trains it.

Her, Jeong, Song, Han: "Batch Transformer: Look for Attention in Batch", 2024, section 4.2.

    python -m keras_fer.convert btn ir50.pth mobilefacenet_model_best.pth.tar --out start.keras
    python -m train.fit --model btn --recipe btn --data data/raf-db --val test --init start.keras

Stated: sharpness-aware minimisation over Adam, rate 2e-5 that falls exponentially, batch 64, flip, a patch of 2 to 10 %
erased. The loss is twice that of P_vit, plus those of P_bt and P_cba (equation 9, Table 6). Not stated, and taken from
POSTER V2's code, which BTN builds on: rho 0.05, the factor 0.98 an epoch, 200 epochs, erasing in half of the pictures.

The paper's accuracy: 92.54 %, from IR50 and MobileFaceNet pre-trained on MS-Celeb-1M; it gives no time.
"""

import dataclasses

from train.recipes import poster_v2

RECIPE = dataclasses.replace(poster_v2.RECIPE, batch_size=64, learning_rate=2e-5)
