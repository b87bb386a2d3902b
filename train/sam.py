"""Sharpness-aware minimisation: step by the gradient not of where the weights are, but of the worst place nearby.

Foret, Kleiner, Mobahi, Neyshabur: "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021,
as POSTER V2's code has it: one norm over all weights, not adaptive, and both passes in training mode.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf


def sharpness_aware(differentiate: Callable, weights: Sequence, rho: float) -> tuple:
    """Loss and outputs at `weights`, and the gradients at `weights + rho * g / |g|`, where g are those at `weights`.

    What any optimizer then does with the gradients (clipping, momentum, unscaling of a scaled loss) is its own affair.
    Under a distribution strategy all replicas climb by the gradient of the whole batch.

    Args:
        differentiate: `() -> (loss, outputs, gradients)` for the present values of `weights`. It is called twice.
        weights: Keras variables; they have their values back at the end.
        rho: how far to climb, in the Euclidean norm over all weights together.
    """
    loss, outputs, gradients = differentiate()
    gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    norm = tf.linalg.global_norm(gradients)
    # Where a scaled loss overflows in half precision, the weights stay: an infinite climb would ruin the statistics of
    # batch normalisation. The second pass overflows too then, and the optimizer skips the step.
    factor = tf.where(tf.math.is_finite(norm), rho / (norm + 1e-12), 0.0)
    here = [tf.identity(weight) for weight in weights]
    for weight, gradient in zip(weights, gradients):
        weight.assign_add(tf.math.multiply_no_nan(gradient, factor))
    _, _, gradients = differentiate()
    for weight, value in zip(weights, here):
        weight.assign(value)
    return loss, outputs, gradients
