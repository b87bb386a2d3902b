"""What every reader yields."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from keras_fer.expressions import EXPRESSIONS


class Record(NamedTuple):
    """One labelled picture, not yet read."""

    id: str
    """Where it came from: a path relative to the source, or a row of a table."""
    split: str
    expression: str
    """A canonical name."""
    load: Callable[[], bytes]
    """The encoded picture; may be called in any thread. An OSError or ValueError means that it is unreadable."""
    distribution: tuple[float, ...] | None = None
    """The share of each of the source's classes in the taggers' votes, for sets that publish them; sums to 1."""
    votes: tuple[float, ...] | None = None
    """The share of each of the source's `votes` among all votes: a second opinion beside the label; sums to 1."""


@dataclass(frozen=True)
class Source:
    """A data set, opened: what is known before its pictures are read."""

    name: str
    classes: tuple[str, ...]
    """In canonical order."""
    records: Iterable[Record]
    """Can be gone through once."""
    total: int
    """How many records to expect at most: for progress."""
    distributions: bool = False
    """Whether the records carry label distributions."""
    votes: tuple[str, ...] = ()
    """What taggers could vote for, where the records carry votes beside their labels."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of splits: {"test": "private"}."""
    notes: tuple[str, ...] = ()
    """What the user should know about how the set was read, one line each."""


def in_canonical_order(expressions: Iterable[str]) -> tuple[str, ...]:
    """The distinct canonical names among `expressions`, in the canonical order."""
    found = set(expressions)
    return tuple(name for name in EXPRESSIONS if name in found)
