"""What happens beside the steps: a watch on the loss, a line an epoch, and the run folder."""

import datetime
import math
import time
from pathlib import Path

import keras
from tqdm import tqdm

import keras_fer
from keras_fer.errors import InputError
from keras_fer.saving import BEST
from train import run


class Diverged(InputError):
    """The loss is no number any more; a lower learning rate may help."""


class StopOnNaN(keras.callbacks.Callback):
    """Raises `Diverged` at the first step whose loss is not finite, before anything is saved."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise Diverged(
                f"the loss is {logs['loss']} at step {batch + 1} of epoch {self.epoch}; a lower rate may help"
            )

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite(logs["val_loss"]):
            raise Diverged(f"the validation loss is {logs['val_loss']} after epoch {self.epoch}")


class Progress(keras.callbacks.Callback):
    """A bar within the epoch (on a terminal), a line after it; adds rate, speed and seconds to the logs.

    Args:
        pictures: in one epoch.
    """

    def __init__(self, pictures: int):
        super().__init__()
        self.pictures = pictures

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()
        title = f"epoch {epoch + 1}/{self.params['epochs']}"
        self.bar = tqdm(total=self.params["steps"], desc=title, unit="step", leave=False, disable=None)

    def on_train_batch_end(self, batch, logs=None):
        self.train_seconds = time.perf_counter() - self.start
        self.bar.set_postfix({"loss": f"{logs['loss']:.3f}"}, refresh=False)
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        logs["pictures_per_second"] = round(self.pictures / self.train_seconds, 1)
        logs["seconds"] = round(time.perf_counter() - self.start, 2)
        left = logs["seconds"] * (self.params["epochs"] - epoch - 1)
        print(
            f"epoch {epoch + 1:3}/{self.params['epochs']}  loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}  "
            f"val loss {logs['val_loss']:.4f}  val accuracy {logs['val_accuracy']:.4f}  "
            f"{logs['pictures_per_second']:.0f} pictures/s  {datetime.timedelta(seconds=round(left))} left",
            flush=True,
        )


class RunFolder(keras.callbacks.Callback):
    """Writes the run folder after every epoch. It comes last, so that the other callbacks' counters are up to date.

    Args:
        folder: the run folder.
        network: the model whose weights are trained.
        published: the same model, uncompiled and in float32, whose file stands for the run.
        card: of the published model (`train.loop.make_card`); epoch and validation figures are added.
        companions: callbacks whose counters are part of the state.
        average: swaps the weights with their moving average at `on_test_begin` and back at `on_test_end`, if there
            is one.
        progress: what `run.load_state` returned, for a run that goes on.
    """

    def __init__(
        self,
        folder: Path,
        network: keras.Model,
        published: keras.Model,
        card: dict,
        companions: list[keras.callbacks.Callback],
        average: keras.callbacks.SwapEMAWeights | None,
        progress: dict | None,
    ):
        super().__init__()
        self.folder = folder
        self.network = network
        self.published = published
        self.card = card
        self.companions = companions
        self.average = average
        self.progress = progress
        self.history = progress["history"] if progress else []

    def on_train_begin(self, logs=None):
        # Keras' callbacks have just reset themselves.
        if self.progress:
            for callback in self.companions:
                vars(callback).update(self.progress["counters"].get(type(callback).__name__, {}))

    def on_epoch_end(self, epoch, logs=None):
        best_before = max((row["val_accuracy"] for row in self.history), default=-1.0)
        self.history.append({"epoch": epoch + 1, **logs})
        if logs["val_accuracy"] > best_before:
            self._save_best(epoch, logs)
        progress = {
            "epoch": epoch + 1,
            "stopped": self.model.stop_training,
            "history": self.history,
            "counters": {type(callback).__name__: _counters(callback) for callback in self.companions},
            "learning_rate": self.card["settings"]["learning_rate"],
        }
        run.save_state(self.folder, self.model, progress)
        run.write_history(self.folder, self.history)

    def _save_best(self, epoch, logs):
        if self.average:
            self.average.on_test_begin()
        self.published.set_weights(self.network.get_weights())
        if self.average:
            self.average.on_test_end()
        card = {
            **self.card,
            "epoch": epoch + 1,
            "val_accuracy": logs["val_accuracy"],
            "val_loss": logs["val_loss"],
            "date": datetime.date.today().isoformat(),
        }
        keras_fer.save(self.published, self.folder / BEST, card)


def _counters(callback):
    """What `EarlyStopping` and `ReduceLROnPlateau` remember of earlier epochs."""
    names = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")
    return {name: getattr(callback, name) for name in names if hasattr(callback, name)}
