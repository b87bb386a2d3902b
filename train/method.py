"""The training step of the papers' methods: losses on several outputs, sharpness-aware steps, a teacher's targets."""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_fer.registry import Method, training_method
from train.distillation import Distillation
from train.sam import sharpness_aware

AS_IT_IS = Method(lambda network: keras.Model(network.input, {"logits": network.output}), {"logits": 1.0})


class TrainingModel(keras.Model):
    """What is compiled and fitted around a network; it shares the network's weights and validates its logits alone.

    Under a distribution strategy an optimizer clips the mean of the replicas' gradients, a replica's part of the whole
    batch's: its limits must be parts too (`train.optim`).

    The first pass of a step gives the loss and the accuracy that are reported, which is against the labels even where
    a teacher sets the targets. TensorFlow only.

    Args:
        network: from `keras_fer.create_model`.
        family: its name, which decides whether there are more outputs to train (`keras_fer.registry.training_method`).
        sam_rho: radius of sharpness-aware minimisation; 0 is plain descent.
        teacher: `pictures (batch, size, size, 3) -> targets (batch, classes)` in place of the labels, if any; called
            once a batch.
        distillation: what its teachers add to the loss, if any. The pictures may then come with their logits, as
            `(pictures, logits (batch, teachers, classes))`.
    """

    def __init__(
        self,
        network: keras.Model,
        family: str,
        sam_rho: float = 0.0,
        teacher: Callable | None = None,
        distillation: Distillation | None = None,
    ):
        # The network casts the pictures itself. Keras scales the loss by the policy of the model that is compiled.
        super().__init__(name=f"{network.name}_training", dtype=network.dtype_policy, autocast=False)
        build, self.loss_weights = training_method(family) or AS_IT_IS
        self.around = build(network)
        if distillation:
            self.around = distillation.around(network, self.around, network.input_shape[1])
        self.sam_rho = sam_rho
        self.teacher = teacher
        self.replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.distillation = distillation

    def call(self, inputs, training=None):
        pictures, _ = _pictures_and_logits(inputs)
        return self.around(pictures, training=training)

    def train_step(self, data):
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        pictures, logits = _pictures_and_logits(inputs)
        targets = self.teacher(pictures) if self.teacher else labels
        taught = self.distillation.targets(pictures, logits) if self.distillation else None

        def differentiate():
            with tf.GradientTape() as tape:
                outputs = self(pictures, training=True)
                loss = self.compute_loss(pictures, targets, outputs, sample_weight)
                if self.distillation:
                    loss = self.distillation.loss(loss, taught, outputs[self._own], outputs, sample_weight)
                scaled = self.optimizer.scale_loss(loss)
            return loss, outputs, tape.gradient(scaled, self.trainable_weights)

        if self.sam_rho:
            loss, outputs, gradients = sharpness_aware(differentiate, self.trainable_weights, self.sam_rho)
        else:
            loss, outputs, gradients = differentiate()
        if self.replicas > 1:
            # The optimizer sums them over the replicas, but clips them before: it must see the whole batch's.
            gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
        # Keras divides each replica's loss by their number, for the sum of their gradients.
        loss *= self.replicas
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


def _pictures_and_logits(inputs):
    return inputs if isinstance(inputs, tuple) else (inputs, None)
