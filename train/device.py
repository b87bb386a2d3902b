"""What the machine decides: compiled steps, mixed precision, and what to note down about both."""

import os
import platform
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

BACKEND = keras.backend.backend()

if BACKEND != "tensorflow":
    # TensorFlow only reads the data then; it must not take the accelerator's memory.
    tf.config.set_visible_devices([], "GPU")


def has_gpu() -> bool:
    """Whether the Keras backend sees a GPU."""
    if BACKEND == "jax":
        import jax

        return jax.default_backend() == "gpu"
    return bool(tf.config.get_visible_devices("GPU"))


def name() -> str:
    """Backend and kind of device, as a run reports it."""
    return f"{BACKEND} on {'GPU' if has_gpu() else 'CPU'}"


def jit_compile(choice: str = "auto") -> bool:
    """`auto` compiles on a GPU alone: XLA makes these models slower on a CPU. JAX always compiles."""
    if BACKEND == "jax":
        return True
    return has_gpu() if choice == "auto" else choice == "on"


def dtype_policy(choice: str = "auto") -> str:
    """The Keras policy for a recipe's `mixed_precision`; `auto` is float16 with a loss scale on a GPU alone."""
    if choice == "auto":
        choice = "float16" if has_gpu() else "none"
    return "float32" if choice == "none" else f"mixed_{choice}"


def describe() -> dict[str, str]:
    """Versions and hardware, for the record."""
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "machine": machine(),
        "device": name(),
    }


def machine() -> str:
    """The processor's name and the number of its cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores"
