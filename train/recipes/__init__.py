"""Recipes: how a model is trained, one small file each, as plain data with its source in the docstring.

A file `train/recipes/NAME.py` defines `RECIPE = Recipe(...)`, and `--recipe NAME` uses it. Every field can be replaced
from the command line: `--set learning_rate=0.01 --set augment.rotation=15`.
"""

import dataclasses
import difflib
import importlib
import json
import pkgutil
import typing
from collections.abc import Iterable

from keras_fer.errors import InputError
from keras_fer.layers import IMAGENET_MEAN, IMAGENET_STD
from train.augment import Augment

CHOICES = {
    "labels": ("hard", "distribution"),
    "sampling": ("natural", "balanced"),
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("constant", "cosine", "step", "plateau"),
    "class_weights": ("none", "balanced"),
    "mixed_precision": ("auto", "none", "float16", "bfloat16"),
    "jit": ("auto", "on", "off"),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, except the model, the data and the seed."""

    # --- Picture ---
    input_size: int = 224
    """Height and width in pixels, a multiple of 32 (of less where the model can)."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    """Of RGB in 0..1; they become part of the model."""
    augment: Augment = dataclasses.field(default_factory=Augment)
    labels: str = "hard"
    """`hard`, or `distribution` where the data holds votes."""

    # --- Model ---
    model_options: dict[str, float | bool | str] = dataclasses.field(default_factory=dict)
    """Passed on to the model's function: `dropout`, `drop_path_rate` ..."""

    # --- Steps ---
    sampling: str = "natural"
    """`balanced` draws the pictures of an epoch so that all classes are equally frequent (`train.data`)."""
    batch_size: int = 128
    epochs: int = 50
    optimizer: str = "adamw"
    """`adam`, without decay, `adamw`, with decoupled decay, or `sgd`, whose decay is L2 in the gradient
    (`train.optim`)."""
    learning_rate: float = 1e-3
    """The peak, where the schedule warms up."""
    momentum: float = 0.9
    """Of SGD; beta_1 of Adam."""
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_norms_and_biases: bool = False
    """Whether the decay acts on all weights and not on kernels alone."""
    clip_norm: float = 0.0
    """The gradient's largest global norm; 0 is no limit."""
    ema: float = 0.0
    """Momentum of the moving average of the weights, which validation and `best.keras` then use; 0 is none."""

    sam_rho: float = 0.0
    """Radius of sharpness-aware minimisation (`train.sam`), which takes two passes a step; 0 is none."""

    # --- Schedule ---
    schedule: str = "cosine"
    """`cosine` to 0; `step` multiplies by `decay_factor` every `decay_epochs`; `plateau` does so after that many
    epochs without gain on the validation accuracy; `constant`."""
    warmup: float = 0.0
    """Part of all steps in which a `cosine` rate rises from 0."""
    decay_factor: float = 0.1
    decay_epochs: int = 30

    # --- Loss ---
    label_smoothing: float = 0.0
    votes_weight: float = 0.0
    """Weight of the loss of an auxiliary head that learns the taggers' votes beside the labels (`train.votes`)."""
    teacher_floor: float = 0.5
    """The validation accuracy that the model behind `--teacher` must have."""
    distill_weight: float = 0.9
    """`train.distill`: weight of the teachers' softened distributions, the labels having the rest of 1."""
    distill_temperature: float = 2.0
    """What both sides' logits are divided by before the softmax that is compared."""
    feature_weight: float = 0.0
    """Weight of the distance between the student's and the first teacher's maps; 0 compares none."""
    feature_maps: dict[str, str] = dataclasses.field(default_factory=dict)
    """Which maps: names of the student's layers, and of the teacher's."""
    class_weights: str = "none"
    """`balanced` weighs a picture by the inverse frequency of its class."""

    # --- Run ---
    early_stopping: int = 0
    """Stop after that many epochs without gain on the validation accuracy; 0 is never."""
    mixed_precision: str = "auto"
    """`auto` is float16 on a GPU, else none."""
    jit: str = "auto"
    """XLA: `auto` is on on a GPU, else off."""

    def __post_init__(self):
        for key, known in CHOICES.items():
            if getattr(self, key) not in known:
                raise InputError(f"{key} is {getattr(self, key)!r}; expected one of {', '.join(known)}")
        for key in ("batch_size", "epochs", "decay_epochs", "learning_rate", "distill_temperature"):
            if getattr(self, key) <= 0:
                raise InputError(f"{key} is {getattr(self, key)}; expected more than 0")
        for key in ("momentum", "ema", "warmup", "label_smoothing", "teacher_floor"):
            if not 0 <= getattr(self, key) < 1:
                raise InputError(f"{key} is {getattr(self, key)}; expected at least 0 and less than 1")
        for key in ("weight_decay", "clip_norm", "sam_rho", "votes_weight", "feature_weight"):
            if getattr(self, key) < 0:
                raise InputError(f"{key} is {getattr(self, key)}; expected 0 or more")
        if not 0 <= self.distill_weight <= 1:
            raise InputError(f"distill_weight is {self.distill_weight}; expected 0 to 1")
        if self.feature_weight and not self.feature_maps:
            raise InputError("feature_weight goes with feature_maps.STUDENT_LAYER=TEACHER_LAYER, and there are none")
        if self.weight_decay and self.optimizer == "adam":
            raise InputError(f"weight_decay is {self.weight_decay}, and adam has none: use adamw, or set it to 0")
        if self.warmup and self.schedule != "cosine":
            raise InputError(f"warmup goes with the cosine schedule only, and this one is {self.schedule}")

    def override(self, assignments: Iterable[str]) -> "Recipe":
        """This recipe with `key=value` strings applied; `augment.KEY`, `model_options.KEY` and the like reach inside.

        Raises:
            InputError: no such key (the message names the known ones), or a value that does not fit the key.
        """
        recipe, augment = {}, {}
        open_ended = {"model_options": dict(self.model_options), "feature_maps": dict(self.feature_maps)}
        kinds = {"model_options": _option, "feature_maps": str}
        known = _kinds(Recipe) | {f"augment.{key}": kind for key, kind in _kinds(Augment).items()}
        for group in ("augment", *open_ended):
            del known[group]
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            group, _, name = key.partition(".")
            if not equals:
                raise InputError(f"--set {assignment}: expected key=value")
            if group in open_ended and name:
                open_ended[group][name] = kinds[group](text)
            elif key in known:
                (augment if name else recipe)[name or group] = _parse(key, text, known[key])
            else:
                names = [*known, *(f"{group}.NAME" for group in open_ended)]
                raise InputError(f"--set {key}: no such key; known are {', '.join(names)}")
        augment = dataclasses.replace(self.augment, **augment)
        return dataclasses.replace(self, **recipe, augment=augment, **open_ended)

    def to_dict(self) -> dict:
        """As plain data for JSON; `from_dict` reads it back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, settings: dict) -> "Recipe":
        """The recipe that `to_dict` wrote."""
        return cls(**{**_tuples(settings), "augment": Augment(**_tuples(settings["augment"]))})


def list_recipes() -> list[str]:
    """The names that `load` knows, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Recipe:
    """The recipe of `train/recipes/NAME.py`.

    Raises:
        InputError: there is no such file; the message names those that are there.
    """
    known = list_recipes()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"unknown recipe {name!r}; known are {', '.join(known)}{hint}")
    return importlib.import_module(f"{__name__}.{name}").RECIPE


def _kinds(cls):
    return {field.name: field.type for field in dataclasses.fields(cls)}


def _option(text):
    """A model's option: true or false, a number, or a word; the model knows which it takes."""
    try:
        return {"true": True, "false": False}[text] if text in ("true", "false") else float(text)
    except ValueError:
        return text


def _parse(key, text, kind):
    """`text` as a value of the type `kind`: a bool, a number, a word, or a tuple of numbers."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[text]
        if typing.get_origin(kind) is tuple:
            return tuple(number(part) for number, part in zip(typing.get_args(kind), text.split(","), strict=True))
        return kind(text)
    except (ValueError, KeyError):
        raise InputError(f"--set {key}={text}: expected {_spoken(kind)}") from None


def _spoken(kind):
    if typing.get_origin(kind) is tuple:
        return f"{len(typing.get_args(kind))} numbers with commas between"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a word")


def _tuples(fields):
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
