"""Batch normalisation as one kernel while TensorFlow trains: Keras 3 makes about ten operations of it.

On a CPU these take longer than the convolutions beside them, and in half precision they also convert every map to
float32 and back. Equal to Keras to rounding, and unknown to what is saved: the layers and their weights stay.
"""

import keras
import tensorflow as tf

from train import device

CPU_CHANNELS = {"float32": 4, "bfloat16": 16, "float16": 16}
"""The CPU's kernel is fast for multiples of these only; for others it is slower than Keras' operations."""


def fuse_batch_norm(model: keras.Model) -> None:
    """Let the batch normalisations of `model` that gain by it train by the fused kernel, if TensorFlow trains it."""
    if device.BACKEND != "tensorflow":
        return
    for layer in model._flatten_layers():
        if type(layer) is not keras.layers.BatchNormalization or not layer.scale or not layer.center or layer.renorm:
            continue
        multiple = 1 if device.has_gpu() else CPU_CHANNELS.get(layer.compute_dtype)
        if multiple and layer.gamma.shape[0] % multiple == 0:
            layer.call = _fused(layer, layer.call)


def _fused(layer, unfused):
    def call(inputs, training=None, mask=None):
        rank = len(inputs.shape)
        if not (training and layer.trainable) or mask is not None or rank != 4 or layer.axis not in (3, -1):
            return unfused(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma),
            offset=tf.convert_to_tensor(layer.beta),
            # Not read in training.
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=layer.epsilon,
            is_training=True,
        )
        # The kernel gives the variance for n - 1; Keras averages the one for n.
        n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
        variance *= (n - 1) / n
        for average, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            average.assign(average * layer.momentum + batch * (1 - layer.momentum))
        return outputs

    return call
