"""Packages that only some of the work needs: imported where it happens, so that `keras_fer` asks for little."""

import importlib
from types import ModuleType

from keras_fer.errors import InputError


def need(module: str, install: str = "'keras-fer[faces]'") -> ModuleType:
    """Import a module that may not be installed.

    Raises:
        InputError: it is not; the message says which `pip install` brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed; this needs `pip install {install}`") from error
