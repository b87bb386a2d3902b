"""The model families, one file each. Importing this package registers them all."""

from keras_fer.models import btn, efficientface, ir, mit, mobilefacenet, poster_v2, resnet

__all__ = ["btn", "efficientface", "ir", "mit", "mobilefacenet", "poster_v2", "resnet"]
