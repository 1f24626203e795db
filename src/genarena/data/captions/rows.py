"""From the captions of pictures to tokens, with the words of the training captions."""

from collections.abc import Sequence
from typing import Any

from genarena.data.captions.vocabulary import Vocabulary, split_words
from genarena.data.reading.folders import say


def tokenised(parts: Sequence[Any], texts: Sequence[Sequence[str]]) -> tuple[Vocabulary, tuple[Any, ...]]:
    """The words of the first part, and the parts with tokens (N, K, length) as captions.

    parts: Splits or Listings, training first, whose `captions` (N,) are rows of `texts`, the captions of each picture. Says on
    stderr how many of them are too long.
    """
    said = [[texts[row] for row in part.captions.tolist()] for part in parts]
    vocabulary = Vocabulary.of_texts(text for captions in said[0] for text in captions)
    every = [text for part in said for captions in part for text in captions]
    if long := sum(len(split_words(text)) > vocabulary.length for text in every):
        say(
            f"{long:,} of {len(every):,} captions have more than {vocabulary.length} words, of which the rest is not read"
        )
    return vocabulary, tuple(
        part._replace(captions=vocabulary.table(captions)) for part, captions in zip(parts, said, strict=True)
    )
