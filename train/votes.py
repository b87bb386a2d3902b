"""Taggers' votes as a second opinion: an auxiliary head learns them while the network learns the labels.

FER2013's labels are one opinion a face, and often a poor one; FER+ (Barsoum et al., "Training Deep Networks for Facial
Expression Recognition with Crowd-Sourced Label Distribution", ICMI 2016) has ten taggers' votes for the same faces.
What is deployed answers in the labels' terms and has no such head.
"""

import keras


class VotesModel(keras.Model):
    """What is compiled and fitted around a network, on any backend; it shares the network's weights.

    Accuracy and validation are the network's own. The head is one dense layer on what the network's classifier reads.

    Args:
        network: from `keras_fer.create_model`.
        choices: what could be voted for; the length of the head's logits.
        weight: of the votes' loss, the cross entropy with their shares; the labels' loss has weight 1.
    """

    def __init__(self, network: keras.Model, choices: int, weight: float):
        # The network casts the pictures itself.
        super().__init__(name=f"{network.name}_with_votes", dtype=network.dtype_policy, autocast=False)
        features = network.output._keras_history.operation.input
        if len(features.shape) == 4:
            features = keras.layers.GlobalAveragePooling2D()(features)
        votes = keras.layers.Dense(choices, name="votes")(features)
        self.around = keras.Model(network.input, {"logits": network.output, "votes": votes})
        self.weight = weight
        self.votes_loss = keras.losses.CategoricalCrossentropy(from_logits=True)

    def call(self, pictures, training=None):
        return self.around(pictures, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The weighted sum of both losses where `y` has both targets; where it has the labels alone, theirs."""
        if not isinstance(y, dict):
            return super().compute_loss(x, y, y_pred["logits"], sample_weight)
        loss = super().compute_loss(x, y["labels"], y_pred["logits"], sample_weight)
        return loss + self.weight * self.votes_loss(y["votes"], y_pred["votes"])

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y["labels"] if isinstance(y, dict) else y, y_pred["logits"], sample_weight)
