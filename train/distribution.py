"""Training on more than one device: all of one machine's with TensorFlow, or several machines' with JAX.

On one machine `tf.distribute.MirroredStrategy` gives every device a copy of the model and a part of each batch. Losses
and gradients are those of the whole batch, but for what a model does with a batch as a whole: batch normalisation and
BTN's class batch attention see their own device's part, and dropout draws alike on all.

Several machines are told of each other by TensorFlow's TF_CONFIG. Keras 3.15 cannot train under TensorFlow's own
`MultiWorkerMirroredStrategy`: in `fit` it reduces batches and losses in ways that the strategy refuses. Keras on JAX
can, by `keras.distribution`, and there batch normalisation and dropout too are those of the whole batch: the losses are
those of one process.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import keras_fer
from keras_fer.classifier import Classifier, as_classifier, softmax
from keras_fer.errors import InputError
from train import device

STRATEGIES = ("none", "mirrored")


# --- The devices of one machine ---


def strategy(name: str) -> tf.distribute.Strategy | None:
    """A strategy for all GPUs, or for all logical CPU devices where there is no GPU; None for "none".

    Raises:
        InputError: the Keras backend is not TensorFlow.
    """
    if name == "none":
        return None
    if device.BACKEND != "tensorflow":
        raise InputError(f"--strategy {name} needs TensorFlow: KERAS_BACKEND is {device.BACKEND}")
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([one.name for one in devices])


def replicas(strategy: tf.distribute.Strategy | None) -> int:
    """How many devices share a batch: those of the strategy, or of all workers."""
    if strategy:
        return strategy.num_replicas_in_sync
    shared = keras.distribution.distribution()
    return shared.device_mesh.devices.size if shared else 1


def scope(strategy: tf.distribute.Strategy | None) -> contextlib.AbstractContextManager:
    """Where models are built that the strategy trains."""
    return strategy.scope() if strategy else contextlib.nullcontext()


def open_replicated(weights: str | os.PathLike, strategy: tf.distribute.Strategy) -> Classifier:
    """A run's weights or a `.keras` file on all devices of the strategy, each of which classifies a part of a batch.

    Raises:
        InputError: it is no trained model, or one of another format.
    """
    if Path(weights).suffix in (".tflite", ".onnx"):
        raise InputError(f"{weights} runs on one device; --strategy is for runs and .keras files")
    with strategy.scope():
        model = keras_fer.load(weights)
    alone = as_classifier(model)

    @tf.function(reduce_retracing=True)
    def forward(values):
        return strategy.run(lambda pictures: model(pictures, training=False), (values,))

    def run(crops: np.ndarray) -> np.ndarray:
        parts = np.array_split(np.asarray(crops, np.float32), strategy.num_replicas_in_sync)
        values = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )
        logits = strategy.experimental_local_results(forward(values))
        return softmax(np.concatenate([part.numpy() for part in logits]), alone.temperature)

    return dataclasses.replace(alone, run=run)


# --- Several machines ---


class Worker(NamedTuple):
    """One of the processes that train together."""

    index: int = 0
    count: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether it is the one that writes."""
        return self.index == 0


def join() -> Worker:
    """Join the other processes that TF_CONFIG names; call it before anything is computed. Alone without TF_CONFIG.

    Raises:
        InputError: TF_CONFIG cannot be read, the Keras backend is not JAX, or the others do not answer.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return Worker()
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs = cluster.get("chief", [])
        addresses = [*chiefs, *cluster.get("worker", [])]
        index = int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)
        worker = Worker(index, len(addresses))
        if task["type"] not in ("chief", "worker") or not 0 <= index < worker.count:
            raise ValueError(f"it has no {task['type']} {task['index']}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"TF_CONFIG cannot be read ({error}); expected one like "
            '{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    if worker.count == 1:
        return worker
    if device.BACKEND != "jax":
        raise InputError(
            f"TF_CONFIG names {worker.count} workers, and Keras trains on several machines with JAX only: "
            f"set KERAS_BACKEND=jax (it is {device.BACKEND})"
        )
    try:
        keras.distribution.initialize(",".join(addresses), worker.count, worker.index)
    except RuntimeError as error:
        raise InputError(f"the workers of TF_CONFIG did not meet at {addresses[0]}: {error}") from error
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return worker


def leave(worker: Worker) -> None:
    """Wait for the others and part from them; from here on this process computes alone."""
    if worker.count > 1:
        import jax

        keras.distribution.set_distribution(None)
        jax.distributed.shutdown()


@contextlib.contextmanager
def run_folder(folder: Path, worker: Worker, resume: bool) -> Iterator[Path]:
    """Where a worker keeps its run: the chief in `folder`, the others in one of their own that vanishes with them."""
    if worker.is_chief:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        own = Path(temporary, "run")
        if resume:
            shutil.copytree(folder, own, ignore=shutil.ignore_patterns(".*"))
        yield own
