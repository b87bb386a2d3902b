"""poster_v2_mobile on RAF-DB, distilled from POSTER V2; ours.

    python -m train.distill --teacher runs/poster --model poster_v2_mobile --data data/raf-db

The teacher's softened answers and, at three levels, its landmark maps and its crossed maps (the table in
`keras_fer.models.poster_v2_mobile`): that is what makes the second stream one of landmarks. Flip and an erased patch
as the teacher had them; AdamW, warm-up and averaged weights as our runs from scratch like them; long, since a student
gains from patience (Beyer et al., https://arxiv.org/abs/2106.05237).

Not measured yet: it takes RAF-DB and a trained poster_v2. Without a teacher's maps use `poster_v2_mobile_scratch`.
"""

from train.augment import Augment
from train.recipes import Recipe

RECIPE = Recipe(
    input_size=224,
    augment=Augment(flip=0.5, erasing=0.5, erasing_scale=(0.02, 0.1)),
    model_options={"dropout": 0.2},
    batch_size=128,
    epochs=200,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    clip_norm=1.0,
    ema=0.999,
    schedule="cosine",
    warmup=0.05,
    distill_weight=0.9,
    distill_temperature=4.0,
    feature_weight=1.0,
    feature_maps={
        "landmark1": "face_landback.conv_3.model.3",
        "landmark2": "face_landback.conv_4.model.5",
        "landmark3": "last_face_conv",
        "fusion1": "ffn1",
        "fusion2": "ffn2",
        "fusion3": "ffn3",
    },
)
