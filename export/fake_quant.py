"""A deployable model with the rounding of its int8 file inside, to be trained: the toolkit's wrappers on tf_keras.

What is rounded, and which tensors share a scale, is read off the float .tflite file that the model becomes, by the same
rule that quantizes it (`export.quantize`). So the trained graph and the file cannot round at different places.
"""

import dataclasses
import math
from collections.abc import Collection

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras import layers
from tensorflow_model_optimization.quantization import keras as quantization

from export import flatbuffer
from export.matching import Matching
from export.quantize import Int8, Ranges, int8_tensors, int8_values, to_int8
from export.tf_keras_rebuild import Ported, as_argument, rebuild
from export.wiring import walk

LINEAR = (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)
SMALLEST = 1e-9
"""The largest value of a kernel's channel is at least this."""


class ChannelRange(quantization.quantizers.Quantizer):
    """Rounds a kernel to -127..127 steps, with a scale for each output channel: its largest value is 127 steps.

    Args:
        axes: how many of the kernel's last axes the output channels are: 2 of a depthwise kernel, else 1.
    """

    def __init__(self, axes):
        self.axes = axes

    def build(self, tensor_shape, name, layer):
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        kernel = tf.reshape(inputs, (-1, math.prod(inputs.shape[-self.axes :])))
        largest = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(kernel), axis=0), SMALLEST))
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -largest, largest, narrow_range=True)
        return tf.reshape(rounded, inputs.shape)

    def get_config(self):
        return {"axes": self.axes}


class LearnedRange(quantization.quantizers.Quantizer):
    """Rounds to 256 steps between two limits, which are trained with the weights (PACT, arXiv 1805.06085).

    Args:
        low, high: where the limits start; `low` <= 0 <= `high`.
        symmetric: the lower limit follows the upper one, so that the zero point is 0.
    """

    def __init__(self, low, high, symmetric):
        self.low, self.high, self.symmetric = low, high, symmetric

    def build(self, tensor_shape, name, layer):
        limits = {"high": self.high} if self.symmetric else {"low": self.low, "high": self.high}
        return {
            key: layer.add_weight(f"{name}_{key}", shape=(), initializer=tf_keras.initializers.Constant(value))
            for key, value in limits.items()
        }

    def __call__(self, inputs, training, weights, **kwargs):
        high = tf.maximum(weights["high"], SMALLEST)
        low = -128 / 127 * high if self.symmetric else tf.minimum(weights["low"], 0.0)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def get_config(self):
        return {"low": self.low, "high": self.high, "symmetric": self.symmetric}


class Nothing(quantization.QuantizeConfig):
    """A layer that is left alone; the base of those that are not."""

    def get_weights_and_quantizers(self, layer):
        return []

    def get_activations_and_quantizers(self, layer):
        return []

    def set_quantize_weights(self, layer, quantize_weights):
        pass

    def set_quantize_activations(self, layer, quantize_activations):
        pass

    def get_output_quantizers(self, layer):
        return []

    def get_config(self):
        return {}


class Int8Kernel(Nothing):
    """A layer whose kernel is rounded."""

    def get_weights_and_quantizers(self, layer):
        depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
        return [(getattr(layer, _kernel(layer)), ChannelRange(2 if depthwise else 1))]

    def set_quantize_weights(self, layer, quantize_weights):
        setattr(layer, _kernel(layer), quantize_weights[0])


class Int8Output(Nothing):
    """A layer whose output is rounded."""

    def __init__(self, low, high, symmetric):
        self.range = LearnedRange(low, high, symmetric)

    def get_output_quantizers(self, layer):
        return [self.range]

    def get_config(self):
        return self.range.get_config()


class AsAnnotated(quantization.QuantizeScheme):
    """Only what is annotated is rounded; the toolkit's own scheme adds what TensorFlow's converter wants."""

    def get_layout_transformer(self):
        return self

    def apply(self, model, layer_quantize_map):
        return model, layer_quantize_map

    def get_quantize_registry(self):
        return self

    def supports(self, layer):
        return False


def _kernel(layer):
    return "depthwise_kernel" if isinstance(layer, tf_keras.layers.DepthwiseConv2D) else "kernel"


@dataclasses.dataclass(eq=False)
class _Map:
    """A tensor as float layers read it and as int8 ones do."""

    float: object
    int8: object


@dataclasses.dataclass(frozen=True)
class Student:
    """The graph with its rounding, trainable as any tf_keras model.

    Attributes:
        model: from pictures to logits.
        content: a float file of the deployable model.
        keep_float: tensors whose multiplications stay float, by index.
        rounded: how the file's other tensors are rounded, by index.
    """

    model: tf_keras.Model
    content: bytes
    keep_float: list[int]
    rounded: dict[int, Int8]

    def ranges(self) -> dict[int, tuple[float, float]]:
        """The learned range of each group of tensors."""
        found = {}
        for group in sorted({int8.group for int8 in self.rounded.values()}):
            layer = self.model.get_layer(_round_name(group, "quant_"))
            *low, high = (float(limit) for limit in layer.trainable_weights)
            high = max(high, SMALLEST)
            found[group] = (min(low[0], 0.0) if low else -high, high)
        return found

    def put_weights(self, model: keras.Model) -> None:
        """Give the trained weights to the deployable model that this was made from."""
        trained = {layer.name.removeprefix("quant_"): layer for layer in self.model.layers}
        for layer in model.layers:
            if layer.weights:
                found = {v.name.split("/")[-1].split(":")[0]: v.numpy() for v in trained[layer.name].weights}
                layer.set_weights([found[_own_name(weight, layer)] for weight in layer.weights])

    def on(self, content: bytes) -> "Student":
        """The same student, which knows its tensors by their indices in another float file of the model.

        Trained weights move them: the converter stores equal constants once, and no two biases are 0 any more.

        Raises:
            ValueError: that file computes other tensors.
        """
        before, after = (_computed(flatbuffer.read(file)) for file in (self.content, content))
        if [what for _, what in before] != [what for _, what in after]:
            raise ValueError("the trained model's file computes other tensors than the one that was rounded")
        there = {old: new for (old, _), (new, _) in zip(before, after)}
        rounded = {there[index]: int8 for index, int8 in self.rounded.items()}
        keep_float = [there[index] for index in self.keep_float]
        return dataclasses.replace(self, content=content, keep_float=keep_float, rounded=rounded)

    def to_int8(self) -> bytes:
        """The int8 file with the learned ranges."""
        tensors, ranges = flatbuffer.read(self.content).tensors, self.ranges()
        named = {tensors[index].name: ranges[int8.group] for index, int8 in self.rounded.items()}
        return to_int8(self.content, named, self.keep_float)


def _computed(graph):
    """The inputs and what operators write, in their order: index, and by what operator, shape and type."""
    written = [(index, operator.name) for operator in graph.operators for index in operator.outputs]
    tensors = [(index, "INPUT") for index in graph.inputs] + written
    return [(index, (by, graph.tensors[index].shape, graph.tensors[index].type)) for index, by in tensors]


def steps_off(student: Student, model: keras.Model, file: bytes, picture: np.ndarray) -> dict[str, float]:
    """How far each int8 layer of the trained graph is from the file, given the inputs that it has in the file.

    Layer by layer, since rounding is chaotic: a sum that lies between two steps may go either way, and some layers
    later as much is different as rounding changes at all.

    Args:
        student: on the float file of `model` (`Student.on`).
        model: the deployable model with the trained weights.
        file: the int8 file.
        picture: (size, size, 3), of the files' input type.

    Returns:
        The largest difference in steps of the layer's output, by the layer's name.
    """
    matching = Matching(model, student.content, picture)
    ranges = student.ranges()
    values = int8_values(file, picture)
    layers_of_graph = {layer.name.removeprefix("quant_"): layer for layer in student.model.layers}
    off = {}

    def compute(layer, int8, inputs):
        return layers_of_graph[layer.name](inputs)

    def round_to(group, x):
        return layers_of_graph[_round_name(group)](x)

    def hand_on(layer, index, x):
        name = matching.graph.tensors[index].name
        found = tf.reshape(tf.constant(values[name]), x.shape)
        low, high = ranges[student.rounded[index].group]
        step = (high - low) / (254 if student.rounded[index].symmetric else 255)
        off[layer.name] = max(float(tf.reduce_max(tf.abs(x - found))) / step, off.get(layer.name, 0.0))
        return found

    def call(layer, *inputs):
        return _through(matching, student.rounded, layer, inputs, compute, round_to, hand_on)

    walk(model, tf.constant(picture[None], tf.float32), call)
    return off


def make_student(
    model: keras.Model, content: bytes, ranges: Ranges, picture: np.ndarray, keep_float: Collection[str] = ()
) -> Student:
    """The deployable `model` with the rounding that `to_int8(content, ranges, keep_float)` means.

    Args:
        model: as `export.deploy.deployable` returns it.
        content: its float .tflite file.
        ranges: of the file's tensors; the limits start there.
        picture: (size, size, 3), of the file's type, by which the file's tensors are found in the model.
        keep_float: names of layers whose multiplications stay float.
    """
    graph = flatbuffer.read(content)
    matching = Matching(model, content, picture)
    products = matching.products()
    stay_float = [index for name in keep_float for index in products.get(name, ())]
    rounded = int8_tensors(content, stay_float)

    bounds = {}
    for index, int8 in rounded.items():
        low, high = ranges[graph.tensors[index].name]
        lowest, highest = bounds.get(int8.group, (0.0, SMALLEST))
        bounds[int8.group] = min(low, lowest), max(high, highest)
    rounders = {}
    for int8 in rounded.values():
        low, high = bounds[int8.group]
        high = max(-low, high) if int8.symmetric else high
        if int8.group not in rounders:
            same = tf_keras.layers.Activation("linear", name=_round_name(int8.group))
            rounders[int8.group] = quantization.quantize_annotate_layer(same, Int8Output(low, high, int8.symmetric))

    ports = {}

    def compute(layer, int8, inputs):
        made = ports[layer]
        if int8 and isinstance(layer, LINEAR):
            made = quantization.quantize_annotate_layer(made, Int8Kernel())
        return made(inputs)

    def call(layer, made, *inputs):
        ports[layer] = made
        return _through(matching, rounded, layer, inputs, compute, lambda group, x: rounders[group](x))

    held = {index for layer in matching.tensors.values() for found in layer for index in found[:1]}
    lost = {int8.group for int8 in rounded.values()} - {rounded[index].group for index in held if index in rounded}
    if lost:
        names = ", ".join(graph.tensors[index].name for index, int8 in rounded.items() if int8.group in lost)
        raise ValueError(f"the file rounds {names}, which no layer of {model.name} writes")
    annotated = rebuild(model, call, lambda x: x.float)
    kinds = (Ported, Int8Kernel, Int8Output, ChannelRange, LearnedRange)
    with quantization.quantize_scope({kind.__name__: kind for kind in kinds}):
        return Student(quantization.quantize_apply(annotated, AsAnnotated()), content, stay_float, rounded)


def _through(matching, rounded, layer, inputs, compute, round_to, hand_on=lambda layer, index, x: x):
    """What a layer hands on: its output as float layers read it and as int8 ones do.

    Args:
        inputs: what the layers before handed on; tensors, where they are the model's input.
        compute: a function of the layer, of whether it is int8, and of the one argument that tf_keras' layers take.
        round_to: rounds a tensor to the limits of a group.
        hand_on: may replace a rounded output of an int8 layer, of which it is given the tensor's index.
    """
    int8 = any(rounded[index].made for index in matching.whole(layer) if index in rounded)
    read = keras.tree.map_structure(lambda x: (x.int8 if int8 else x.float) if isinstance(x, _Map) else x, inputs)
    outputs = compute(layer, int8, as_argument(read))
    maps = [_Map(x, x) for x in keras.tree.flatten(outputs)]
    for x, found in zip(maps, matching.tensors[layer]):
        for index in found[:1]:
            if index in rounded:
                x.int8 = round_to(rounded[index].group, x.float)
                if rounded[index].made:
                    x.float = x.int8 = hand_on(layer, index, x.int8)
    return maps if isinstance(outputs, list | tuple) else maps[0]


def _round_name(group, prefix=""):
    return f"{prefix}int8.{group}"


def _own_name(weight, layer):
    """What tf_keras calls a weight."""
    return "depthwise_kernel" if isinstance(layer, layers.DepthwiseConv2D) and weight.name == "kernel" else weight.name
