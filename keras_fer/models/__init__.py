"""The model families, one file each. Importing this package registers them all."""

from keras_fer.models import efficientface, mit

__all__ = ["efficientface", "mit"]
