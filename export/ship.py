"""Put a trained run among the weights that ship: `python -m export.ship --weights RUN --data DIR`.

It writes NAME.keras, the model as int8 NAME.tflite, and NAME.json, their card with the SHA-256 of both, how they
were trained, and what they reach, float and int8, on a split that neither trained the model nor chose its epoch
(`keras_fer.shipped`).
"""

import argparse
import csv
import json
import shutil
import tempfile
from pathlib import Path

import keras_fer
from export import accuracy, tflite
from keras_fer import card as cards
from keras_fer import shipped
from keras_fer.classifier import open_classifier
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from keras_fer.saving import find, update_card
from train import evaluate
from train.average import RECORD
from train.data import DatasetInfo, read_info
from train.run import CONFIG, LOG, read_config

REPORTED = (
    *("data", "split", "n", "accuracy", "mean_class_accuracy", "macro_f1", "ece", "ece_before", "nll", "temperature"),
    *("per_class", "without_leaks"),
)
"""What of `train.evaluate`'s report goes into the card."""

CURVE = ("loss", "accuracy", "val_loss", "val_accuracy")
"""What of each epoch of a run's log."""

LICENCES = {
    "fer2013": "FER2013's pictures were gathered from the web for a research competition (Goodfellow et al., 2013); "
    "no licence is granted for them, and what that means for weights trained on them is not settled. FER+'s votes, "
    "where they were used, are under the MIT licence.",
    "drawn": "Drawn by this project; free to use.",
}
"""What the training data's publishers allow, and so the weights' licence, by the name of the set."""


def ship(
    weights: str,
    info: DatasetInfo,
    split: str,
    name: str | None = None,
    folder: Path = shipped.FOLDER,
    qat_run: Path | None = None,
    count_instructions: bool = True,
) -> dict:
    """Export and measure a run or a `.keras` file, and write its files into `folder`; those of that name are replaced.

    Args:
        info: prepared data: `train` calibrates, `split` measures.
        name: without it, the model's and the data's names.
        qat_run: a finished run of `export.qat` of these weights, for the .tflite file; without it int8 is calibrated.
        count_instructions: as in `export.tflite.export`.

    Returns:
        The card.

    Raises:
        InputError: the split chose the epoch or was trained on, no licence is known for the data, `qat_run` started
            from other weights, or the weights, the data or the exported file are not what they should be.
    """
    trained_card = cards.read(find(weights))
    trained = {"train", trained_card.get("val_split", "val")}
    if info.aliases.get(split, split) in {info.aliases.get(part, part) for part in trained}:
        raise InputError(f"{split} of {info.name} trained {weights} or chose its epoch; report another --split")
    if info.name not in LICENCES:
        raise InputError(f"no licence is known for {info.name}; known are those of {', '.join(LICENCES)} (export.ship)")
    if qat_run:
        from export import qat  # the toolkit takes seconds to import

        qat.require_start(qat_run, weights)
    name = name or f"{trained_card['model']}-{info.name}"
    with tempfile.TemporaryDirectory() as temporary:
        files = {suffix: Path(temporary, name + suffix) for suffix in (".keras", ".tflite")}
        shutil.copyfile(find(weights), files[".keras"])
        update_card(files[".keras"], {"name": name, "licence": LICENCES[info.name]})
        model = keras_fer.load(files[".keras"])
        card = tflite.export(
            model,
            "qat" if qat_run else "int8",
            files[".tflite"],
            info,
            expected=accuracy.reference(model, info, split),
            count_instructions=count_instructions,
            qat_run=qat_run,
        )
        card |= {
            "evaluation": {
                "float": _evaluation(open_classifier(files[".keras"]), info, split),
                "int8": _evaluation(open_classifier(files[".tflite"]), info, split),
            },
            "bytes": {suffix: file.stat().st_size for suffix, file in files.items()},
            "sha256": {suffix: shipped.sha256(file) for suffix, file in files.items()},
            "training": card["training"] | {"stages": stages(Path(weights))},
        }
        for suffix, file in files.items():
            with replacing(folder / (name + suffix)) as target:
                shutil.copyfile(file, target)
    with replacing(folder / f"{name}.json") as target:
        target.write_text(json.dumps(card, indent=1) + "\n")
    return card


def stages(weights: Path) -> list[dict]:
    """How weights came to be, the first run first: each run that the next one started from, and its whole curve.

    Those of an average are the stages of what it was made of, each once. Empty for weights that are no run folder; a
    run that is gone, or was no run, ends the list.
    """
    if (weights / RECORD).is_file():
        every = [stage for one in json.loads((weights / RECORD).read_text())["weights"] for stage in stages(Path(one))]
        return [stage for i, stage in enumerate(every) if stage not in every[:i]]
    if not (weights / CONFIG).is_file():
        return []
    config, record = read_config(weights)
    with (weights / LOG).open() as file:
        rows = list(csv.DictReader(file))
    stage = {
        "run": weights.name,
        "init": Path(config.init).name if config.init else None,
        "recipe": config.recipe_name,
        "settings": record["recipe"],
        "seed": config.seed,
        "teachers": [f"{Path(teacher).name}, {known}" for teacher, known in record["teachers"].items()],
        "machine": record["sessions"][-1]["machine"],
        "date": record["sessions"][-1]["date"],
        "hours": round(sum(float(row["seconds"]) for row in rows) / 3600, 3),
        "curve": {key: [round(float(row[key]), 5) for row in rows] for key in CURVE},
    }
    return [*(stages(Path(config.init)) if config.init else []), stage]


def _evaluation(classifier, info, split):
    result = evaluate.measure(classifier, info, split)
    return {key: result[key] for key in REPORTED if key in result}


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, ship and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.ship",
        description="Put a trained run among the weights that ship with keras_fer, measured, in float and in int8.",
        epilog="example: python -m export.ship --weights runs/plain_cnn --data data/fer2013",
    )
    add = parser.add_argument
    add("--weights", required=True, metavar="W", help="a run folder or a .keras file")
    add("--data", required=True, type=Path, metavar="DIR", help="from train.prepare: to calibrate and to measure")
    add("--split", default="test", help="where they are measured (default: %(default)s)")
    add("--name", metavar="NAME", help="what they are called (default: model-data)")
    add("--qat-run", type=Path, metavar="RUN", help="the .tflite file as a run of export.qat trained it")
    add("--no-phone-cost", action="store_true", help="do not count the instructions on a phone for the card")
    add("--out", type=Path, default=shipped.FOLDER, metavar="DIR", help="(default: the package's own weights)")
    args = parser.parse_args(argv)

    info = read_info(args.data)
    card = ship(args.weights, info, args.split, args.name, args.out, args.qat_run, not args.no_phone_cost)
    for kind, suffix in (("float", ".keras"), ("int8", ".tflite")):
        result = card["evaluation"][kind]
        print(
            f"{card['name']}{suffix}: {card['bytes'][suffix] / 1e6:.2f} MB, {100 * result['accuracy']:.2f} % on "
            f"{result['n']} pictures of {result['data']} {result['split']}"
        )


if __name__ == "__main__":
    run(main)
