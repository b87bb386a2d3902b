"""The plain CNN on FER2013 with FER+'s votes beside the labels, without pre-trained weights, on one core; ours.

    python -m train.prepare fer2013 fer2013.csv --votes fer2013new.csv --out data/fer2013
    python -m train.fit --model plain_cnn --recipe plain_cnn_scratch --data data/fer2013 --set input_size=32 --epochs 12

SGD with Nesterov momentum, a warm-up and averaged weights, moderate augmentation.

The weights that ship were made by it, with a width of 32: 65.3 % on PublicTest after 21 core-minutes at 32 px, 68.3 %
after 33 more at 48 px. docs/training_weights.md has the commands, docs/results.md the figures.
"""

import dataclasses

from train.recipes import plain_cnn

RECIPE = dataclasses.replace(plain_cnn.RECIPE, votes_weight=0.5)
