"""The plain CNN on FER2013 with FER+'s votes beside the labels, without pre-trained weights, on one core; ours.

    python -m train.prepare fer2013 fer2013.csv --votes fer2013new.csv --out data/fer2013
    python -m train.fit --model plain_cnn --recipe plain_cnn_scratch --data data/fer2013 --set input_size=32 --epochs 12

docs/training_weights.md goes on from there with larger pictures, and has the speed. SGD with Nesterov momentum, a
warm-up and averaged weights, moderate augmentation.

Not measured yet. A trial of the same settings in another framework reached 64.5 % on PublicTest, with flip averaging,
after 12 epochs at 32, 40 and 48 px in 14 core-minutes, and 66.5 % after 20 more at 40 and 48.
"""

import dataclasses

from train.recipes import plain_cnn

RECIPE = dataclasses.replace(plain_cnn.RECIPE, votes_weight=0.5)
