"""MiT-fusion on FER2013 as its paper trains it.

Safavi, Patel, Vinjamuri: "Towards Efficient Deep Learning Models for Facial Expression Recognition using Transformers",
2023, section III.C.

    python -m train.fit --model mit_fusion --recipe mit_fusion --data data/fer2013 --val public --init WEIGHTS

Stated: 224 px, RGB, flip, rotation within 30 degrees, batch 48, rate 1e-4, a tenth of it after two epochs without
gain on the validation accuracy, at most 50 epochs, the end after eight without gain, momentum 0.9, weight decay 1e-3,
dropout 0.4. Not stated, and chosen here: AdamW, SegFormer's optimizer, with the momentum as its beta_1; decay of
kernels alone; drop path 0.1, SegFormer's; ImageNet's mean and deviation, which its pre-trained encoder expects.

The paper's accuracy: 73.47 % on FER2013, from weights pre-trained on ImageNet; it gives no time.
Without pre-trained weights use `mit_fusion_scratch`.
"""

from train.augment import Augment
from train.recipes import Recipe

RECIPE = Recipe(
    input_size=224,
    augment=Augment(flip=0.5, rotation=30),
    model_options={"dropout": 0.4, "drop_path_rate": 0.1},
    batch_size=48,
    epochs=50,
    optimizer="adamw",
    learning_rate=1e-4,
    momentum=0.9,
    weight_decay=1e-3,
    schedule="plateau",
    decay_factor=0.1,
    decay_epochs=2,
    early_stopping=8,
)
