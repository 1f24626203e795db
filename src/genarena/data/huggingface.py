"""Pictures from a Hugging Face data set: saved to disk, a folder or files that `datasets` reads, or a name on the hub.

No code of a data set is run: `datasets` 4 has no loading scripts any more, and pictures are decoded by genarena. A data set
on disk needs no network. Needs pip install -e '.[huggingface]'.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genarena.data.captions.rows import tokenised
from genarena.data.captions.vocabulary import Vocabulary, split_words
from genarena.data.picture_set import AnyPictures, Listing
from genarena.data.reading.pictures import MAX_BYTES, Sources
from genarena.data.splitting import completed
from genarena.errors import DataError
from genarena.files.boundary import first_line
from genarena.files.regular import read_regular
from genarena.options.values import BelowRoot

VALIDATION = ("validation", "val", "valid", "dev")  # possible names of the validation split
SAVED = ("dataset_dict.json", "state.json")  # files that mark a set saved to disk


@dataclass(frozen=True)
class Rows(Sources):
    """Pictures in a column of an Arrow table. `names` are row numbers; `part` is the name of the split."""

    table: Any = None
    part: str = ""

    def read(self, index: int) -> bytes:
        picture = next(iter(self.table[int(self.names[index])].values()))
        if picture is None:
            raise ValueError("the row holds no picture")
        content, path = picture["bytes"], picture["path"]
        return read_regular(Path(path), MAX_BYTES) if content is None else content

    def title(self, index: int) -> str:
        return f"{self.folder}[{self.part}] row {self.names[index]}"

    def stamps(self) -> Iterator[tuple[str, int, int]]:
        """The table's fingerprint, which changes with its content, and the row numbers."""
        yield self.table._fingerprint, len(self.table), 0
        yield from ((name, 0, 0) for name in self.names)


class HuggingFace(AnyPictures):
    """Pictures in a column of a table.

    path: a folder, below `root` or anywhere; else a name on the hub. subset, revision: of a set on the hub.
    column: the column of pictures. label: the column of classes, whole numbers or words; null: no labels.
    caption: the column of captions, a text or a list of texts each; null: none.
    If the set has no test or validation split, a tenth of its training split is drawn for it with a fixed seed.
    """

    name = "huggingface"

    path: BelowRoot = ""
    column: str = "image"
    label: str | None = None
    caption: str | None = None
    subset: str | None = None
    revision: str | None = None

    def listings(self) -> tuple[Listing, Listing, Listing]:
        if find_spec("datasets") is None:
            raise DataError("data=huggingface needs the package datasets: pip install -e '.[huggingface]'")
        tables = self._tables()
        parts = {"test": "test", "val": next((name for name in VALIDATION if name in tables), "")}
        rest = [name for name in tables if name not in parts.values()]
        known = next((name for name in ("train", *rest) if name in tables), None)
        if known is None or (len(rest) > 1 and known != "train"):
            raise DataError(f"data.path={self.path}: expected a split named train; it has {', '.join(tables)}")
        classes = self._classes(tables)
        self.spec = replace(self.spec, num_classes=len(classes) if classes else None)
        self._texts: list[list[str]] = []
        names = {"train": known} | {name: part for name, part in parts.items() if part in tables}
        parts = completed({name: self._listing(part, tables[part], classes) for name, part in names.items()})
        if self.caption is not None:
            self._words, parts = tokenised(parts, self._texts)
        return parts

    def vocabulary(self) -> Vocabulary | None:
        self.listings()  # finds the captions
        return None if self.caption is None else self._words

    def identity(self) -> dict[str, Any]:
        place = Path(self.path).name if self.location() else self.path
        return (
            super().identity()
            | {
                "path": place,
                "subset": self.subset,
                "revision": self.revision,
                "column": self.column,
                "label": self.label,
            }
            | ({"caption": self.caption, "words": self._words.digest} if self.caption else {})
        )

    def location(self) -> Path | None:
        """The set's folder or file on disk; None: it is on the hub."""
        return next((folder for folder in (Path(self.root) / self.path, Path(self.path)) if folder.exists()), None)

    def _tables(self) -> dict[str, Any]:
        """Split name -> table with undecoded pictures. Raises DataError with the first line of the package's error."""
        import datasets  # slow to import

        datasets.disable_progress_bars()
        folder = self.location()
        try:
            if folder and any((folder / name).is_file() for name in SAVED):
                found = datasets.load_from_disk(str(folder))
            else:
                found = datasets.load_dataset(str(folder or self.path), self.subset, revision=self.revision)
        except Exception as error:  # the package raises any kind
            raise DataError(f"data.path={self.path}: cannot be loaded: {first_line(error)}") from error
        found = found if isinstance(found, dict) else {"train": found}
        for name, table in found.items():
            for option in filter(None, (self.column, self.label, self.caption)):
                if option not in table.column_names:
                    raise DataError(
                        f"data.path={self.path}: its split {name} has the columns {', '.join(table.column_names)}, "
                        f"and no {option}"
                    )
            if not isinstance(table.features[self.column], datasets.Image):
                raise DataError(f"data.column={self.column}: holds {table.features[self.column]}, expected pictures")
        undecoded = datasets.Image(decode=False)
        return {name: table.cast_column(self.column, undecoded) for name, table in found.items()}

    def _classes(self, tables: dict[str, Any]) -> list[Any]:
        """The values of the label column over all splits, sorted; for a `ClassLabel` column the numbers of its classes."""
        if self.label is None:
            return []
        names = getattr(next(iter(tables.values())).features[self.label], "names", None)
        return (
            list(range(len(names)))
            if names
            else sorted({v for table in tables.values() for v in table.unique(self.label) if v is not None})
        )

    def _listing(self, part: str, table: Any, classes: list[Any]) -> Listing:
        rows = [str(row) for row in range(len(table))]
        number = {value: index for index, value in enumerate(classes)}
        y: Tensor | None = None
        if self.label is not None:
            values = table[self.label]
            if wrong := [value for value in values if value not in number]:
                raise DataError(
                    f"data.label={self.label}: {wrong[0]} in split {part} is none of its {len(classes)} classes"
                )
            y = torch.tensor([number[value] for value in values])
        said = None if self.caption is None else self._said(part, table)
        return Listing(Rows(Path(self.path), rows, table.select_columns([self.column]), part), y, said)

    def _said(self, part: str, table: Any) -> Tensor:
        """(N,) rows of `_texts`, to which the captions of a split are added."""
        first = len(self._texts)
        for row, value in enumerate(table[self.caption]):
            texts = [value] if isinstance(value, str) else value
            known = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
            texts = [text for text in texts if split_words(text)] if known else []
            if not texts:
                raise DataError(
                    f"data.caption={self.caption}: row {row} of split {part} holds {value!r}, expected a text with words"
                )
            self._texts.append(texts)
        return torch.arange(first, len(self._texts))
