"""What runs in the environment with TensorFlow 2.16 (`export.apk_models`), and in this one: models on given inputs.

It knows only numpy and the interpreter's module, so it imports nothing of the project.
"""

import importlib
import json
import sys

import numpy as np


def infer(interpreter, file, inputs):
    """Every output of every input, in the outputs' order in the file."""
    model = interpreter(model_path=file, num_threads=1)
    model.allocate_tensors()
    image = model.get_input_details()[0]["index"]
    rows = []
    for value in inputs:
        model.set_tensor(image, value[None])
        model.invoke()
        rows.append([model.get_tensor(output["index"])[0].copy() for output in model.get_output_details()])
    return [np.stack(column) for column in zip(*rows)]


if __name__ == "__main__":
    module, jobs = sys.argv[1:]
    interpreter = importlib.import_module(module).Interpreter
    for file, inputs, outputs in json.loads(jobs):
        np.savez(outputs, *infer(interpreter, file, np.load(inputs)))
