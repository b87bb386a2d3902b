"""The run folder: what a training run is, how far it came, and all that it leaves.

    config.json     everything that decides the run, and where it ran
    last.npz        the state after the last whole epoch: weights, optimizer, seeds, counters, history
    best.keras      the weights of the best epoch so far, with their card
    log.csv         one row an epoch
    curves.png      the same as a picture
    metrics.json    the best epoch on the test split, written at the end; confusion.png is its picture
    tensorboard/    events

Every file is replaced as a whole, so the folder is usable at every moment, and all but `last.npz` follow from it: a run
that was killed goes on from there as if nothing had happened.
"""

import csv
import dataclasses
import datetime
import hashlib
import json
import sys
from pathlib import Path

import keras
import numpy as np

from keras_fer.errors import InputError
from keras_fer.files import replacing
from keras_fer.saving import find
from train import device, plots
from train.data import DatasetInfo
from train.recipes import Recipe

CONFIG, STATE, LOG, CURVES = "config.json", "last.npz", "log.csv", "curves.png"


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides a run, resolved."""

    model: str
    recipe_name: str
    recipe: Recipe
    data: str
    """Folder of a prepared data set."""
    seed: int = 0
    val: str = "val"
    """The split that chooses the epoch."""
    limit: int | None = None
    """Use only so many pictures of every split."""
    init: str | None = None
    """Trained weights to start from."""
    teacher: str | None = None
    """Trained weights whose label distributions are the targets."""
    strategy: str = "none"
    """`mirrored` trains on all devices of the machine (`train.distribution`)."""
    distill: tuple[str, ...] = ()
    """Trained weights whose softened answers are learned beside the labels."""
    cache: str | None = None
    """Folder where their answers are kept."""

    @property
    def teachers(self) -> tuple[str, ...]:
        """All trained weights that must stay as they are while the run lasts."""
        return ((self.teacher,) if self.teacher else ()) + self.distill


def fingerprint(info: DatasetInfo) -> str:
    """Tells one prepared data set from another: a hash of its dataset.json."""
    return hashlib.sha256((info.path / "dataset.json").read_bytes()).hexdigest()[:16]


def weights_hash(weights: str) -> str:
    """Tells one trained model from another: a hash of its .keras file.

    Raises:
        InputError: it is not there.
    """
    with find(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def require_new(folder: Path) -> None:
    """Make sure that no run is lost.

    Raises:
        InputError: there is a run in `folder` already.
    """
    if (folder / CONFIG).exists():
        raise InputError(f"{folder} already holds a run; go on with --resume {folder}, or choose another --out")


def create(folder: Path, config: Config, info: DatasetInfo) -> None:
    """Start a run folder.

    Raises:
        InputError: there is a run in `folder` already.
    """
    require_new(folder)
    write_config(folder, config, info, earlier_sessions=[])


def write_config(folder: Path, config: Config, info: DatasetInfo, earlier_sessions: list[dict]) -> None:
    """Write config.json: `config`, the data, and for each time that the run was started, where and how."""
    session = {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
        **device.describe(),
    }
    record = {
        **dataclasses.asdict(config),
        "recipe": config.recipe.to_dict(),
        "teachers": {weights: weights_hash(weights) for weights in config.teachers},
        "dataset": {"name": info.name, "classes": list(info.classes), "fingerprint": fingerprint(info)},
        "sessions": [*earlier_sessions, session],
    }
    write_json(folder / CONFIG, record)


def read_config(folder: Path) -> tuple[Config, dict]:
    """The run's configuration, and the whole record of config.json.

    Raises:
        InputError: `folder` holds no run.
    """
    try:
        record = json.loads((folder / CONFIG).read_text())
    except FileNotFoundError:
        raise InputError(f"{folder} is no run folder: it holds no {CONFIG}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{folder / CONFIG} is damaged: {error}") from None
    fields = {field.name: record[field.name] for field in dataclasses.fields(Config) if field.name in record}
    fields |= {"recipe": Recipe.from_dict(record["recipe"]), "distill": tuple(record.get("distill", ()))}
    return Config(**fields), record


def write_json(path: Path, content: dict) -> None:
    """Write readable JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


# --- The state ---


def save_state(folder: Path, model: keras.Model, progress: dict) -> None:
    """Write last.npz: all that `model` and its optimizer hold, random seeds included, and `progress` (JSON)."""
    arrays = {f"variable_{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    with replacing(folder / STATE) as temporary:
        np.savez(temporary, progress=np.array(json.dumps(progress)), **arrays)


def load_state(folder: Path, model: keras.Model) -> dict | None:
    """Put the state of last.npz into `model` and its optimizer; returns `progress`, or None before the first epoch.

    Raises:
        InputError: the state is of another model or optimizer.
    """
    for leftover in folder.glob(".*"):
        leftover.unlink(missing_ok=True)  # of a kill in the middle of a write
    if not (folder / STATE).exists():
        return None
    variables = _variables(model)
    with np.load(folder / STATE) as state:
        arrays = [state[f"variable_{i}"] for i in range(len(state.files) - 1)]
        if [v.shape for v in variables] != [a.shape for a in arrays]:
            raise InputError(
                f"{folder / STATE} is the state of another model or optimizer than the run's {CONFIG} says"
            )
        for variable, array in zip(variables, arrays):
            variable.assign(array)
        return json.loads(str(state["progress"]))


def _variables(model):
    """`model.variables` holds the states of the dropout layers' random generators, which `weights` leaves out."""
    return [*model.variables, *model.optimizer.variables]


# --- What follows from it ---


def write_history(folder: Path, history: list[dict]) -> None:
    """Write log.csv and curves.png, for `history` with one dict an epoch."""
    with replacing(folder / LOG) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=history[0].keys())
        writer.writeheader()
        writer.writerows(history)
    plots.curves(history, folder / CURVES)
