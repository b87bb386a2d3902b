"""The training step of the papers' methods: losses on several outputs, sharpness-aware steps, a teacher's targets."""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_fer.registry import Method, training_method
from train.sam import sharpness_aware

AS_IT_IS = Method(lambda network: keras.Model(network.input, {"logits": network.output}), {"logits": 1.0})


class TrainingModel(keras.Model):
    """What is compiled and fitted around a network; it shares the network's weights and validates its logits alone.

    The first pass of a step gives the loss and the accuracy that are reported, which is against the labels even where
    a teacher sets the targets. TensorFlow only.

    Args:
        network: from `keras_fer.create_model`.
        family: its name, which decides whether there are more outputs to train (`keras_fer.registry.training_method`).
        sam_rho: radius of sharpness-aware minimisation; 0 is plain descent.
        teacher: `pictures (batch, size, size, 3) -> targets (batch, classes)` in place of the labels, if any; called
            once a batch.
    """

    def __init__(self, network: keras.Model, family: str, sam_rho: float = 0.0, teacher: Callable | None = None):
        # The network casts the pictures itself. Keras scales the loss by the policy of the model that is compiled.
        super().__init__(name=f"{network.name}_training", dtype=network.dtype_policy, autocast=False)
        build, self.loss_weights = training_method(family) or AS_IT_IS
        self.around = build(network)
        self.sam_rho = sam_rho
        self.teacher = teacher

    def call(self, pictures, training=None):
        return self.around(pictures, training=training)

    def train_step(self, data):
        pictures, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        targets = self.teacher(pictures) if self.teacher else labels

        def differentiate():
            with tf.GradientTape() as tape:
                outputs = self(pictures, training=True)
                loss = self.compute_loss(pictures, targets, outputs, sample_weight)
                scaled = self.optimizer.scale_loss(loss)
            return loss, outputs, tape.gradient(scaled, self.trainable_weights)

        if self.sam_rho:
            loss, outputs, gradients = sharpness_aware(differentiate, self.trainable_weights, self.sam_rho)
        else:
            loss, outputs, gradients = differentiate()
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
        # Keras divides each replica's loss by their number, for the sum of their gradients.
        loss *= tf.distribute.get_strategy().num_replicas_in_sync
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(pictures)[0])
        return self.compute_metrics(pictures, labels, outputs, sample_weight)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The weighted sum of the losses of all outputs in training, that of the network's own in validation."""
        loss = super().compute_loss
        if not training:
            return loss(x, y, y_pred[self._own], sample_weight)
        return sum(weight * loss(x, y, y_pred[name], sample_weight) for name, weight in self.loss_weights.items())

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, y_pred[self._own], sample_weight)

    @property
    def _own(self):
        return next(iter(self.loss_weights))
