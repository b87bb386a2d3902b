"""Optimizer, learning-rate schedule and loss as a recipe asks for them: Keras' own, and L2 as the papers have it."""

import keras

from train.recipes import Recipe

ADAM_EPSILON = 1e-8
"""PyTorch's, which the papers' code uses: at their small gradients Keras' 1e-7 would slow the first steps."""


@keras.saving.register_keras_serializable("keras_fer")
class SGDL2(keras.optimizers.SGD):
    """SGD whose decay is L2: `l2 * weight` is added to the gradient, after clipping and before the momentum.

    That is PyTorch's `SGD(weight_decay=...)`, which the papers' code uses. Keras' own `weight_decay` shrinks the weight
    beside the step instead, so it never enters the momentum and is about ten times weaker at momentum 0.9. While the
    learning rate is constant the steps equal PyTorch's; when it drops, Keras' momentum still carries the old one.
    """

    def __init__(self, learning_rate=0.01, l2=0.0, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        if self.l2 and self._use_weight_decay(variable):
            gradient = gradient + self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


def make_optimizer(
    recipe: Recipe, model: keras.Model, steps_per_epoch: int, replicas: int = 1
) -> keras.optimizers.Optimizer:
    """The recipe's optimizer with its schedule, EMA and clipping; decay acts on `model`'s kernels alone unless told.

    It is given as many gradients as there are `replicas` and adds them up, so each is clipped to its part.
    """
    arguments = {
        "learning_rate": learning_rate(recipe, steps_per_epoch),
        "global_clipnorm": recipe.clip_norm / replicas or None,
        "use_ema": recipe.ema > 0,
        "ema_momentum": recipe.ema,
    }
    if recipe.optimizer == "sgd":
        optimizer = SGDL2(l2=recipe.weight_decay, momentum=recipe.momentum, nesterov=recipe.nesterov, **arguments)
    elif recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(beta_1=recipe.momentum, epsilon=ADAM_EPSILON, **arguments)
    else:
        optimizer = keras.optimizers.AdamW(weight_decay=recipe.weight_decay, beta_1=recipe.momentum, **arguments)
    if not recipe.decay_norms_and_biases:
        optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if v.name != "kernel"])
    return optimizer


def learning_rate(recipe: Recipe, steps_per_epoch: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The rate as a function of the step, or a number where it is constant or falls on a plateau (by a callback)."""
    schedules = keras.optimizers.schedules
    if recipe.schedule == "cosine":
        steps = recipe.epochs * steps_per_epoch
        warmup = int(recipe.warmup * steps)
        if not warmup:
            return schedules.CosineDecay(recipe.learning_rate, steps)
        return schedules.CosineDecay(0.0, steps - warmup, warmup_target=recipe.learning_rate, warmup_steps=warmup)
    if recipe.schedule == "step":
        interval = recipe.decay_epochs * steps_per_epoch
        return schedules.ExponentialDecay(recipe.learning_rate, interval, recipe.decay_factor, staircase=True)
    return recipe.learning_rate


def make_loss(recipe: Recipe) -> keras.losses.Loss:
    """Cross entropy between logits and one-hot labels or label distributions, mean over the batch."""
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
