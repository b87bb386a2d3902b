"""Data, training and evaluation. Unlike `keras_fer`, this package may use TensorFlow."""

import os

# TensorFlow announces a missing GPU as an error; `train.fit` says in its first line what it runs on.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
