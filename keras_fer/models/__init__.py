"""The model families, one file each. Importing this package registers them all."""

from keras_fer.models import efficientface, ir, mit, mobilefacenet, poster_v2, resnet

__all__ = ["efficientface", "ir", "mit", "mobilefacenet", "poster_v2", "resnet"]
