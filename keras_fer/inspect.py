"""What a model costs: parameters, multiply-accumulates, activation memory; and how the papers counted their figures.

    python -m keras_fer.inspect                                   every model and backbone
    python -m keras_fer.inspect mit_fusion efficientface --input-size 128 --markdown

Everything is read off the Keras graph, for one picture at inference; nothing runs.
"""

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import keras
from keras import KerasTensor, layers

from keras_fer.command import run
from keras_fer.files import replacing
from keras_fer.layers import MatMul
from keras_fer.models.btn import training_model
from keras_fer.models.mobilefacenet import LANDMARK_INPUT
from keras_fer.registry import create_backbone, create_model, list_backbones, list_models
from keras_fer.tables import table

KINDS = ("conv", "depthwise", "dense", "attention")
"""The kinds of operator that multiply and accumulate."""

VIEWS = (layers.Reshape, layers.Flatten, layers.Dropout)
"""Layers that, at inference, leave their input's memory as it is."""

FLOAT32_BYTES = 4

INPUT_SIZE = 224
INPUT_SIZES = {"mobilefacenet": LANDMARK_INPUT, "plain_cnn": 48}
"""Pixels a side that models are made for, where not 224."""

TRAINING_MODELS = {"btn": training_model}
"""How to complete the models that have parts for training only."""


# --- The graph ---


class Call(NamedTuple):
    """One layer at work on one picture: shapes have a batch of 1, or of as many windows as the picture is cut into."""

    layer: keras.layers.Layer
    inputs: list[KerasTensor]
    outputs: list[KerasTensor]


def trace(model: keras.Model) -> tuple[list[Call], list[KerasTensor]]:
    """The calls of all layers for one picture, in Keras' order and with nested models opened; and the outputs.

    Args:
        model: a functional model whose sizes are all known but the batch.
    """
    calls = []

    def recorded(layer):
        if isinstance(layer, keras.Model):
            return lambda inputs, **_: through(layer, inputs)

        def call(*arguments, **options):
            outputs = layer.compute_output_spec(*arguments, **options)
            calls.append(Call(layer, keras.tree.flatten(arguments), keras.tree.flatten(outputs)))
            return outputs

        return call

    def through(functional, inputs):
        # Private, but Keras' one way to walk a graph call by call: `model.layers` shows a layer once, without shapes.
        return functional._run_through_graph(inputs, operation_fn=recorded)

    outputs = through(model, [KerasTensor((1, *t.shape[1:]), t.dtype) for t in model.inputs])
    return calls, keras.tree.flatten(outputs)


def _size(tensor):
    return math.prod(tensor.shape)


# --- Counts ---


def count_parameters(weights: Iterable[keras.Variable]) -> int:
    """Numbers in the weights, but for the statistics of batch normalisation, which PyTorch calls buffers."""
    return sum(_size(w) for w in weights if w.name not in ("moving_mean", "moving_variance"))


def count_macs(calls: Iterable[Call]) -> dict[str, int]:
    """Multiply-accumulates by kind of operator. Biases, norms, activations, sums and pooling count nothing."""
    macs = dict.fromkeys(KINDS, 0)
    for layer, inputs, outputs in calls:
        match layer:
            case layers.Conv2D():
                # The kernel is (height, width, input channels of a group, output channels).
                macs["conv"] += _size(outputs[0]) * math.prod(layer.kernel.shape[:-1])
            case layers.DepthwiseConv2D():
                macs["depthwise"] += _size(outputs[0]) * math.prod(layer.kernel_size)
            case layers.Dense():
                macs["dense"] += _size(outputs[0]) * layer.kernel.shape[0]
            case MatMul():
                macs["attention"] += _size(outputs[0]) * inputs[0].shape[-1]
    return macs


def peak_activation_bytes(calls: Sequence[Call], outputs: Sequence[KerasTensor]) -> int:
    """Bytes of all float32 tensors that are alive at the worst moment, when the calls run one after the other.

    A tensor lives from the call that writes it to the last call that reads it; the model's outputs live to the end.
    Reshapes are free, nothing else is fused or done in place; weights and scratch memory are not in it. A runtime that
    fuses layers stays below, one that unfolds convolutions goes above.
    """
    owner = {}  # the tensor in whose memory a view lives
    for layer, inputs, results in calls:
        if isinstance(layer, VIEWS):
            owner[results[0]] = owner.get(inputs[0], inputs[0])

    def owners(tensors):
        return {owner.get(t, t) for t in tensors}

    last_read = {t: step for step, call in enumerate(calls) for t in owners(call.inputs)}
    last_read |= dict.fromkeys(owners(outputs), len(calls))
    alive, peak = owners(calls[0].inputs), 0
    for step, call in enumerate(calls):
        alive |= owners(call.outputs)
        peak = max(peak, sum(map(_size, alive)))
        alive = {t for t in alive if last_read.get(t, step) > step}
    return peak * FLOAT32_BYTES


# --- The papers' counters ---


class Paper(NamedTuple):
    """Parameters and operations of a model at 224 pixels as its paper prints them, and the program that counted."""

    figures: str
    counter: str


PAPERS = {
    "efficientface": Paper("1.28M / 154.18M", "fvcore"),
    "ldg_resnet50": Paper("23.52M / 4109.48M", "fvcore"),
    "mit_fusion": Paper("3.45M / 0.425G", "thop"),
    "poster_v2": Paper("43.7M / 8.4G", "thop"),
}

NOTES = """\
fvcore adds norms (2 for each element of a batch norm, 5 of a layer norm), pooling and resizing to the MACs. Of
EfficientFace's published code it says 154.16M, not the paper's 154.18M.

thop adds norms (4), PReLU and softmax modules, but sees neither the products of attention nor parameters outside of
PyTorch's own modules: class token, position embedding and tables, scaling factors. Its 3.45M of mit_fusion belong to
160 channels in stage 3, not to the 128 of the paper's Table I. Its 43.7M of poster_v2 hold 0.10M of a landmark head
whose output the authors throw away, and none of the 14.5M that their file holds besides; we build neither."""

THOP_LAYERS = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.Dense,
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.PReLU,
)
"""Layers with weights that are a module of PyTorch's own. Other weights (class token, position tables, factors) are
bare parameters of a larger module, which thop does not see."""

POSTER_V2_OPERATORS = ("face_in", "ir_back.halved", "attn1.weights", "attn2.weights", "attn3.weights")
COUNTED_OPERATORS = {
    "btn": POSTER_V2_OPERATORS,
    "ir50": ("halved",),
    "ldg_resnet50": ("pooled",),
    "poster_v2": POSTER_V2_OPERATORS,
}
"""Layers without weights that stand for a resize, an adaptive pooling or a softmax module in the authors' code, which
fvcore or thop count. Elsewhere the authors subsample, average and take the softmax by plain functions: uncounted."""


def count_as_fvcore(calls: Sequence[Call], counted_operators: Sequence[str] = ()) -> int:
    """Operations as fvcore's FlopCountAnalysis counts them: all multiply-accumulates, and some other work.

    Per element: 2 of a batch norm, 5 of a layer norm, 1 into an adaptive average pooling, 1 out of a nearest resize.
    """
    operations = sum(count_macs(calls).values())
    for layer, inputs, outputs in calls:
        match layer:
            case layers.BatchNormalization():
                operations += 2 * _size(outputs[0])
            case layers.LayerNormalization():
                operations += 5 * _size(outputs[0])
            case layers.GlobalAveragePooling2D(name=name) if name in counted_operators:
                operations += _size(inputs[0])
            case layers.MaxPooling2D(name=name) if name in counted_operators:
                operations += _size(outputs[0])
    return operations


def count_as_thop(calls: Sequence[Call], counted_operators: Sequence[str] = ()) -> int:
    """Operations as thop counts them: the work of PyTorch's own modules, so not the products of attention.

    Besides multiply-accumulates, per element: 4 of a norm, 1 of a PReLU; for a softmax over n numbers 3 n - 1; for
    an adaptive average pooling of n numbers n + 1.
    """
    macs = count_macs(calls)
    operations = sum(macs.values()) - macs["attention"]
    for layer, inputs, outputs in calls:
        match layer:
            case layers.BatchNormalization() | layers.LayerNormalization():
                operations += 4 * _size(outputs[0])
            case layers.PReLU():
                operations += _size(outputs[0])
            case layers.Softmax(name=name) if name in counted_operators:
                n = outputs[0].shape[-1]
                operations += _size(outputs[0]) // n * (3 * n - 1)
            case layers.GlobalAveragePooling2D(name=name) if name in counted_operators:
                operations += _size(inputs[0]) + _size(outputs[0])
    return operations


def count_parameters_as_thop(calls: Iterable[Call]) -> int:
    """Parameters as thop counts them: those of `THOP_LAYERS`."""
    seen = {call.layer for call in calls if isinstance(call.layer, THOP_LAYERS)}
    return sum(count_parameters(layer.weights) for layer in seen)


# --- Report ---


@dataclass(frozen=True)
class Costs:
    """What a model costs for one picture of `input_size` pixels a side."""

    model: str
    input_size: int
    parameters: int
    parameters_trained: int
    parameters_at_inference: int
    macs: dict[str, int]
    macs_total: int
    activation_bytes: int
    fvcore: int
    thop: int
    thop_parameters: int


def inspect(model: keras.Model) -> Costs:
    """Count everything about a functional model from the registry."""
    training = TRAINING_MODELS.get(model.name, lambda deployed: deployed)(model)
    calls, outputs = trace(model)
    macs = count_macs(calls)
    counted = COUNTED_OPERATORS.get(model.name, ())
    return Costs(
        model=model.name,
        input_size=model.input_shape[1],
        parameters=count_parameters(training.weights),
        parameters_trained=count_parameters(training.trainable_weights),
        parameters_at_inference=count_parameters(model.weights),
        macs=macs,
        macs_total=sum(macs.values()),
        activation_bytes=peak_activation_bytes(calls, outputs),
        fvcore=count_as_fvcore(calls, counted),
        thop=count_as_thop(calls, counted),
        thop_parameters=count_parameters_as_thop(calls),
    )


def create(name: str, input_size: int | None = None) -> keras.Model:
    """The model or backbone of that name, by default for the size of pictures that it is made for."""
    build = create_backbone if name in list_backbones() else create_model
    return build(name, input_size=input_size or INPUT_SIZES.get(name, INPUT_SIZE))


def costs_table(costs: Sequence[Costs], markdown: bool = False) -> str:
    """One row a model: parameters, multiply-accumulates by kind, peak of the activations."""
    header = ["model", "pixels", "parameters", "trained", "at inference", *KINDS, "MACs", "activations"]
    rows = [
        [
            cost.model,
            str(cost.input_size),
            *(f"{n:,}" for n in (cost.parameters, cost.parameters_trained, cost.parameters_at_inference)),
            *(_millions(n) for n in (*cost.macs.values(), cost.macs_total)),
            f"{cost.activation_bytes / 1e6:.2f} MB",
        ]
        for cost in costs
    ]
    return table(header, rows, markdown)


def papers_table(costs: Sequence[Costs], markdown: bool = False) -> str:
    """One row for each model whose paper gives figures, with the same counts over our graph."""
    rows = []
    for cost in costs:
        figures, counter = PAPERS[cost.model]
        if counter == "thop":
            ours = f"{_millions(cost.thop_parameters)} / {_millions(cost.thop)}"
        else:
            ours = f"{_millions(cost.parameters)} / {_millions(cost.fvcore)}"
        rows.append([cost.model, figures, counter, ours, _millions(cost.macs_total)])
    return table(["model", "paper", "counted by", "counted so here", "MACs"], rows, markdown)


def _millions(count):
    return f"{count / 1e6:,.2f}M"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m keras_fer.inspect",
        description="Parameters, multiply-accumulates and activation memory of models, and the papers' figures.",
        epilog="example: python -m keras_fer.inspect mit_fusion efficientface --input-size 128 --markdown",
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="models or backbones (default: all)")
    parser.add_argument("--input-size", type=int, metavar="N", help="pixels a side (default: what each is made for)")
    parser.add_argument("--json", metavar="OUT", help="also write the exact counts to this file")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    arguments = parser.parse_args(argv)

    names = arguments.models or [*list_models(), *list_backbones()]
    costs = [inspect(create(name, arguments.input_size)) for name in names]
    if arguments.json:
        with replacing(arguments.json) as temporary:
            temporary.write_text(json.dumps([asdict(cost) for cost in costs], indent=1) + "\n")

    print(costs_table(costs, arguments.markdown))
    print(
        "\nOne picture at inference. MACs are multiply-accumulates of convolutions, dense layers and attention."
        "\nActivations: the most float32 tensors alive at once, layer by layer, nothing fused; weights are not in it."
    )
    published = [cost for cost in costs if cost.model in PAPERS and cost.input_size == INPUT_SIZE]
    if published:
        print(f"\n{papers_table(published, arguments.markdown)}\n\n{NOTES}")


if __name__ == "__main__":
    run(main)
