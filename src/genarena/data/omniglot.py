"""Omniglot (Lake, Salakhutdinov & Tenenbaum 2015): 1,623 characters of 50 alphabets, drawn by 20 people each.

Grey, dark ink on white, downsampled from 105x105. Many published numbers are on the binary 28x28 images of Burda et al. 2016,
which are another file: numbers on this set cannot be compared with them.
"""

from genarena.data.picture_set import Listing, PictureSet
from genarena.data.published_set import PublishedSet
from genarena.data.reading.decoding import Recipe
from genarena.data.reading.folders import picture_names
from genarena.data.reading.pictures import Sources
from genarena.data.splitting import seeded_split
from genarena.files.download import Published
from genarena.options.values import Count

ADDRESS = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
COUNTS = {"images_background": 19_280, "images_evaluation": 13_180}


class Omniglot(PictureSet, PublishedSet):
    """17,352 training and 1,928 validation images of the background alphabets, drawn with a fixed seed. Test: the 13,180
    images of the evaluation alphabets."""

    name = "omniglot"
    place = "omniglot"
    page = "https://github.com/brendenlake/omniglot"
    files = (
        Published("images_background.zip", "68d2efa1b9178cc56df9314c21c6e718", f"{ADDRESS}/images_background.zip"),
        Published("images_evaluation.zip", "6b91aef0f799c5bb55b94e3f2daec811", f"{ADDRESS}/images_evaluation.zip"),
    )

    image_size: Count = 28

    def recipe(self) -> Recipe:
        return Recipe(self.spec.shape, resampling="bilinear")

    def listings(self) -> tuple[Listing, Listing, Listing]:
        background, evaluation = (self._names(published) for published in self.files)
        self._count = background.size + evaluation.size
        train, val, _ = seeded_split(background, val=background.size // 10, test=0)
        return train, val, evaluation

    def part(self) -> str | None:
        whole = sum(COUNTS.values())
        return None if self._count == whole else f"{self._count}of{whole}"

    def _names(self, published: Published) -> Listing:
        inner = published.file.removesuffix(".zip")
        folder = self.obtain_folder(published, self.folder / inner, inner)
        return Listing(Sources(folder, picture_names(folder)))
