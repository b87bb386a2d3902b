"""Reading csv files whose faults are the user's to know."""

import csv
from collections.abc import Iterator
from pathlib import Path

from keras_fer.errors import InputError


def rows(table: Path) -> Iterator[list[str]]:
    """The rows of a csv file, as they stand there.

    Raises:
        InputError: there is no such file, or it is no text.
    """
    if not table.is_file():
        raise InputError(f"there is no file {table}")
    try:
        with table.open(newline="") as lines:
            yield from csv.reader(lines)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table} is no csv: {error}") from error
