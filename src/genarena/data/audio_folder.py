"""Your own sound: a folder of WAV and FLAC files. Its subfolders may be the splits `train`, `val`, `test`."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genarena.data.image_folder import split_folders
from genarena.data.picture_set import Listing
from genarena.data.reading.pictures import Sources
from genarena.data.sound.clips import SUFFIXES, clip_names
from genarena.data.sound.recordings import Recordings
from genarena.data.sound.sound_set import SoundSet
from genarena.data.sound.stored import StoredClips, refuse_short
from genarena.data.splitting import completed, tenths
from genarena.errors import DataError
from genarena.files.cache import writable_cache

LEAST = 3  # clips


class AudioFolder(SoundSet):
    """Mono files of one sample rate, of any length of at least a segment. Splits are by clip.

    Without folders of splits, a tenth of the clips each, and at least one, is drawn for validation and test, with a fixed seed
    over the sorted paths.
    """

    name = "audio_folder"
    beside = (".csv", ".txt")  # suffixes of files that belong to the clips

    def location(self) -> Path:
        return Path(self.root)

    def recordings(self) -> Recordings:
        folder = self.location()
        if not folder.is_dir():
            raise DataError(f"data.root={folder}: there is no such folder")
        self._names = clip_names(folder, self.beside)
        if len(self._names) < LEAST:
            kinds = ", ".join(SUFFIXES)
            raise DataError(f"data.root={folder}: {len(self._names)} sound files found ({kinds}), {LEAST} are needed")
        return self.read(Sources(folder, self._names))

    def read(self, sources: Sources) -> Recordings:
        """The clips of these files. Raises DataError for one that is refused."""
        found = StoredClips(writable_cache("sound", self.name), sources, self.sample_rate).recordings()
        refuse_short(found, sources, self.segment)
        return found

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        whole = Listing(Sources(self.location(), self._names), torch.arange(len(self._names)))
        folders = split_folders(self.location(), self._names)
        self._folders = ", ".join(folders)
        if not folders:
            return tuple(part.y.sort().values for part in tenths(whole))
        own = [name.partition("/")[0] for name in self._names]
        found = {
            part: whole[torch.tensor([row for row, name in enumerate(own) if name == folder])]
            for folder, part in folders.items()
        }
        return tuple(part.y.sort().values for part in completed(found))

    def identity(self) -> dict[str, Any]:
        return super().identity() | ({"split": f"folders {self._folders}"} if self._folders else {})
