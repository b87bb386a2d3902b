"""Training runs on two logical CPU devices, in a process of its own since TensorFlow takes them once:

python tests/two_devices.py '[["--model", "tiny", ...], ...]' runs `train.fit` for each list of arguments.
"""

import json
import sys

import tensorflow as tf
import tiny

from keras_fer.registry import register_model
from train import fit

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, 2 * [tf.config.LogicalDeviceConfiguration()])
register_model(tiny.tiny)
for arguments in json.loads(sys.argv[1]):
    fit.main(arguments)
