"""The model families, one file each. Importing this package registers them all."""

from keras_fer.models import btn, efficientface, ir, mit, mobilefacenet, plain_cnn, poster_v2, poster_v2_mobile, resnet

__all__ = ["btn", "efficientface", "ir", "mit", "mobilefacenet", "plain_cnn", "poster_v2", "poster_v2_mobile", "resnet"]
