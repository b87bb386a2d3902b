"""Facial expression recognition in Keras 3, from the papers to the phone."""

from keras_fer import models  # noqa: F401  (enters the models into the registry)
from keras_fer.errors import InputError
from keras_fer.expressions import EXPRESSIONS
from keras_fer.registry import create_backbone, create_model, list_backbones, list_models
from keras_fer.saving import load, save

__all__ = [
    "EXPRESSIONS",
    "InputError",
    "create_backbone",
    "create_model",
    "list_backbones",
    "list_models",
    "load",
    "save",
]
