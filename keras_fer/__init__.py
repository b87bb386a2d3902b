"""Facial expression recognition in Keras 3, from the papers to the phone.

What is named here is imported when it is first used: recognising with a `.tflite` file needs no Keras, for one.
"""

import importlib

_HOMES = {
    "EXPRESSIONS": "expressions",
    "InputError": "errors",
    "Recognizer": "recognizer",
    "create_backbone": "registry",
    "create_model": "registry",
    "list_backbones": "registry",
    "list_models": "registry",
    "load": "saving",
    "save": "saving",
}
_MODULES = ("convert", "crop", "faces", "layers", "models", "shipped")

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"keras_fer.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"keras_fer.{name}")
    raise AttributeError(f"module 'keras_fer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_MODULES])
