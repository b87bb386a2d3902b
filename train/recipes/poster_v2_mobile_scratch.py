"""poster_v2_mobile on FER2013 without pre-trained weights, on two cores; ours.

    python -m train.fit --model poster_v2_mobile --recipe poster_v2_mobile_scratch --data data/fer2013

`mit_fusion_scratch` with this model's dropout: at 64 px its landmark stream still sees 32x32 pixels.
"""

import dataclasses

from train.recipes import mit_fusion_scratch

RECIPE = dataclasses.replace(mit_fusion_scratch.RECIPE, model_options={"dropout": 0.2})
