"""mit_fusion, fine-tuned for its int8 file; ours.

python -m export.tflite --weights runs/NAME --quantize qat --data data/fer2013 --out mit_fusion.tflite
"""

from train.recipes import qat

RECIPE = qat.RECIPE
