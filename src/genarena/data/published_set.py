"""Sets whose owners publish files. Missing files are downloaded; if that fails, one line says which files to put where."""

from pathlib import Path
from typing import ClassVar

from genarena.data.base import ArenaDataModule
from genarena.data.reading.archives import unpack
from genarena.errors import DataError, UserError
from genarena.files.download import Published, download
from genarena.options.values import FolderOrAddress


class PublishedSet(ArenaDataModule):
    """`files`: the published files that the set needs. `page`: the web page where people find them.

    mirror: a folder or an address that has the same files.
    """

    files: ClassVar[tuple[Published, ...]]
    page: ClassVar[str]
    place: ClassVar[str] = ""  # the folder below `root` that holds the files

    mirror: FolderOrAddress | None = None

    @property
    def folder(self) -> Path:
        return Path(self.root) / self.place

    def location(self) -> Path:
        return self.folder

    def obtain(self, published: Published) -> Path:
        """The file, downloaded if it is missing. Raises DataError, in one line, if it has another hash or cannot be had."""
        path = self.folder / published.file
        if path.is_file():
            try:
                published.check(path)
            except UserError as error:
                raise DataError(f"{error}: remove it and try again") from error
            return path
        try:
            download(published, path, self.mirror)
        except (UserError, OSError) as error:
            raise self.absent(str(error)) from error
        return path

    def obtain_folder(self, published: Published, folder: Path, inner: str) -> Path:
        """`folder`; if it is missing, the archive's folder `inner` is unpacked to it."""
        if not folder.is_dir():
            unpack(self.obtain(published), folder, inner)
        return folder

    def absent(self, reason: str) -> DataError:
        """The error for missing files: which ones, their sizes, and where to put them."""
        there = [published for published in self.files if (self.folder / published.file).is_file()]
        files = ", ".join(str(published) for published in self.files if published not in there)
        return DataError(
            f"{self.name} is not {'whole ' if there else ''}in {self.folder} ({reason}): put {files} there, from "
            f"{self.page}, or name a folder or an address that has them with data.mirror; data.root or "
            "GENARENA_DATA may name another root"
        )
