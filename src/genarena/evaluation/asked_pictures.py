"""What conditional samples of a picture are asked for: a row per class, or per caption with its words above."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.captions.characters import Characters
from genarena.data.captions.vocabulary import Vocabulary
from genarena.errors import UserError
from genarena.options.hints import nearest
from genarena.spec import Condition

MOST_CLASSES = 20  # rows of a grid with a row per class
MOST_CAPTIONS = 8  # rows of a grid with a row per caption


@dataclass(frozen=True)
class AskedPictures:
    """y: conditions (N, ...) in the order of a grid. columns: of the grid; None: as it comes. titles: of its rows."""

    y: Tensor | None = None
    columns: int | None = None
    titles: tuple[str, ...] = ()


def rows_of_classes(condition: Condition, num_samples: int) -> AskedPictures:
    """A row for each of the first 20 classes, about `num_samples` images in all."""
    classes = min(condition.size, MOST_CLASSES)
    columns = max(1, num_samples // classes)
    return AskedPictures(torch.arange(classes).repeat_interleave(columns), columns)


def rows_of_captions(captions: Tensor, titles: Sequence[str], num_samples: int) -> AskedPictures:
    """A row for each caption (K, length), about `num_samples` images in all; one caption fills the whole grid."""
    columns = max(1, num_samples // len(captions))
    return AskedPictures(captions.repeat_interleave(columns, 0), columns if len(captions) > 1 else None, tuple(titles))


def rows_of_attributes(condition: Condition, names: Sequence[str], text: str, num_samples: int) -> AskedPictures:
    """A row for each list of attributes, such as "Smiling, Male; Bald": those named are 1, all others 0.

    names: of the attributes, in their order; case does not matter, a number is a place, and "none" names none. Raises
    UserError for a name that there is not, and for no list.
    """
    places = {str(place): place for place in range(len(names))} | {name.lower(): k for k, name in enumerate(names)}
    titles = [part.strip() for part in text.split(";") if part.strip()]
    if not titles:
        raise UserError(f"attributes={text!r}: expected names of attributes")
    y = torch.zeros(len(titles), condition.size, dtype=condition.dtype)
    for row, title in zip(y, titles, strict=True):
        for name in [part.strip() for part in title.split(",") if title.lower() != "none"]:
            if name.lower() not in places:
                listed = ", ".join(names)
                raise UserError(
                    f"attributes={name}: there is no such attribute{nearest(name, names)}; there are {listed}"
                )
            row[places[name.lower()]] = 1
    return rows_of_captions(y, titles, num_samples)


def asked_pictures(condition: Condition | None, num_samples: int, given: Tensor | None) -> AskedPictures:
    """The rows of a picture of a model. given: conditions of examples, for those that have no list of their own; the first
    8 captions get a row each."""
    if condition is None or (given is None and condition.kind != "label"):
        return AskedPictures()
    if condition.kind == "label":
        return rows_of_classes(condition, num_samples)
    if condition.kind == "caption":
        captions = given[:MOST_CAPTIONS]
        words = Vocabulary.of_condition(condition) if condition.words else None
        titles = [words.decode(caption) for caption in captions] if words else []
        return rows_of_captions(captions, titles, num_samples)
    if condition.kind == "characters" and condition.words:
        characters = Characters.of_condition(condition)
        return AskedPictures(given[:num_samples], titles=tuple(map(characters.decode, given[:num_samples])))
    return AskedPictures(given[:num_samples])
