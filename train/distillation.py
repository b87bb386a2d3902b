"""Knowledge distillation: a student learns from its teachers' softened answers, and if wanted from a teacher's maps.

Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network", 2015, https://arxiv.org/abs/1503.02531, section
2; for the maps Romero et al.: "FitNets: Hints for Thin Deep Nets", 2015, https://arxiv.org/abs/1412.6550, section 2.2.
The teachers see the same augmented pictures, once each, in inference mode.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import ops

from train.recipes import Recipe
from train.teacher import Teacher, find_layer, resizer

MAP = "map."
"""What the names of the student's outputs that are compared with a teacher's maps begin with."""


class SoftenedDivergence(keras.losses.Loss):
    """T^2 times the Kullback-Leibler divergence of softmax(logits / T) from the teachers' distribution, in nats.

    Its gradient is that of Hinton's cross entropy, of which it lacks the teachers' own entropy: 0 where both agree. T^2
    keeps the gradient's size whatever the temperature. Takes distributions and logits, both `(batch, classes)`.
    """

    def __init__(self, temperature: float, **kwargs):
        super().__init__(**kwargs)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        student = ops.log_softmax(y_pred / self.temperature)
        teacher = ops.log(ops.maximum(y_true, 1e-12))
        return self.temperature**2 * ops.sum(y_true * (teacher - student), axis=-1)


class MapDistance(keras.losses.Loss):
    """Half of the squared difference of maps `(batch, height, width, channels)`, FitNets' equation 3, by the teacher's.

    Maps of trained networks differ by orders of magnitude; divided by the teacher's own square, picture by picture, one
    weight suits them all: a student's map of zeros has the distance 1/2.
    """

    def call(self, y_true, y_pred):
        difference, size = (ops.mean(ops.square(m), axis=(1, 2, 3)) for m in (y_true - y_pred, y_true))
        return 0.5 * difference / ops.maximum(size, 1e-12)


class Distillation:
    """What is added to a student's training step (`train.method.TrainingModel`).

    The loss is (1 - w) times that of the labels, w times `SoftenedDivergence` from the mean of the teachers' softened
    distributions, and `feature_weight` times the mean `MapDistance` of the maps. These are those of the first teacher,
    averaged or stretched to the student's size where that differs; where the channels differ, a 1x1 convolution that
    is trained along leads from the student's map to the teacher's, and is no part of the student.

    Args:
        teachers: in the student's classes; the first gives the maps of `recipe.feature_maps`, in that order.
        recipe: `distill_weight`, `distill_temperature`, `feature_weight`, `feature_maps`.
    """

    def __init__(self, teachers: Sequence[Teacher], recipe: Recipe):
        self.teachers = teachers
        self.weight = recipe.distill_weight
        self.temperature = recipe.distill_temperature
        self.feature_weight = recipe.feature_weight
        self.layers = tuple(recipe.feature_maps) if recipe.feature_weight else ()
        self.divergence = SoftenedDivergence(self.temperature)
        self.distance = MapDistance()

    def around(self, network: keras.Model, training_model: keras.Model, input_size: int) -> keras.Model:
        """`training_model`, which is built on `network`, with the student's maps among its outputs.

        Raises:
            InputError: the network lacks a layer.
        """
        if not self.layers:
            return training_model
        _, maps = self.teachers[0](tf.zeros((1, input_size, input_size, 3)))
        outputs = {}
        for name, theirs in zip(self.layers, maps):
            own = find_layer(network, name, network.name).output
            if own.shape[-1] != theirs.shape[-1]:
                own = keras.layers.Conv2D(theirs.shape[-1], 1, name=f"regressor.{name}")(own)
            outputs[MAP + name] = own
        return keras.Model(network.input, {**training_model.output, **outputs})

    def targets(self, pictures: tf.Tensor, logits: tf.Tensor | None = None) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The teachers' mean softened distribution `(batch, classes)`, and the first one's maps.

        Args:
            pictures: `(batch, size, size, 3)` in 0..255.
            logits: the teachers', `(batch, teachers, classes)`, where they are known; nothing runs then.
        """
        maps = []
        if logits is None:
            rows, every_map = zip(*(teach(pictures) for teach in self.teachers))
            logits, maps = tf.stack(rows, axis=1), every_map[0]
        return tf.reduce_mean(tf.nn.softmax(logits / self.temperature), axis=1), maps

    def loss(self, hard, targets, logits, maps, sample_weight=None):
        """The whole loss, from that of the labels, the `targets`, and the student's `logits` and `maps`."""
        distribution, their_maps = targets
        loss = (1 - self.weight) * hard + self.weight * self.divergence(distribution, logits, sample_weight)
        for name, theirs in zip(self.layers, their_maps):
            own = maps[MAP + name]
            theirs = resizer(theirs.shape[1], own.shape[1])(theirs)
            loss += self.feature_weight / len(self.layers) * self.distance(theirs, own, sample_weight)
        return loss
