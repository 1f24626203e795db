"""Attributes of a data set by name: its labels, its attributes, its known factors, or what is measured in the pixels."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.sprites import FACTORS
from genarena.options.hints import nearest
from genarena.tasks.editing.images import Images
from genarena.tasks.editing.measures import measured

DRAWN = ("thickness", "slant", "width")  # of grey images
SPRITES = ("sprites", "sprites_small")
PLACED = ("scale", "x", "y")  # of sprites: factors whose values are measured too
_CELEBA = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones "
    "Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline "
    "Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick "
    "Wearing_Necklace Wearing_Necktie Young"
)
CELEBA = tuple(_CELEBA.split())  # in the order of list_attr_celeba.txt


def known(node: Mapping[str, Any]) -> tuple[str, ...]:
    """The attributes of a data set, from its configuration alone."""
    spec, name = node["spec"], _name(node)
    classes = tuple(f"class_{label}" for label in range(spec.get("num_classes") or 0))
    if name == "celeba":
        return CELEBA if node.get("attribute") is None else ("class_0", "class_1")
    return (*measures(name, spec["shape"]), *classes)


def measures(name: str, shape: Any) -> tuple[str, ...]:
    """What is measured in the pixels of images of a set."""
    if name in SPRITES:
        return PLACED
    return DRAWN if len(shape) == 3 and shape[0] == 1 else ()


def names_of(name: str, size: int) -> tuple[str, ...]:
    """The names of the attributes that a set gives its examples; numbers, where it is not known what they are called."""
    return CELEBA if name == "celeba" and size == len(CELEBA) else tuple(f"attribute {place}" for place in range(size))


def check(names: Any, node: Mapping[str, Any], option: str) -> None:
    """Raise ValueError for a name that the data set does not have, with the nearest one."""
    there = known(node)
    for name in names:
        if name not in there:
            listed = ", ".join(there) or "none"
            raise ValueError(f"{option}={name}: there is no such attribute{nearest(name, there)}; there are {listed}")


def present(name: str, data: ArenaDataModule, images: Images, split: str) -> Tensor:
    """Whether images of a split have the attribute, bool (N,); of a quantity, whether it is above the median."""
    if name.startswith("class_"):
        return images.y == int(name.removeprefix("class_"))
    if data.name == "celeba":
        return images.y[:, CELEBA.index(name)] == 1
    if data.name in SPRITES:
        values = data.factors[split][images.rows][:, list(FACTORS).index(name)]
    else:
        values = measured(name, images.unit)
    return values > values.median()


def scores(data: ArenaDataModule, unit: Tensor, probabilities: Tensor) -> dict[str, Tensor]:
    """Attribute to how much of it images (N, C, H, W) in [-1, 1] have, (N,): measured, or a probability by classifiers."""
    found = {name: measured(name, unit) for name in measures(data.name, data.spec.shape)}
    if data.test.y.dim() == 1:
        return found | {f"class_{label}": column for label, column in enumerate(probabilities.double().T)}
    return found | dict(zip(CELEBA, probabilities.double().T, strict=True))


def others(name: str, data: ArenaDataModule) -> tuple[str, ...]:
    """The attributes that an edit of this one should not change: what is measured, else all other labels."""
    drawn = measures(data.name, data.spec.shape)
    count = data.spec.num_classes or 0
    labels = [f"class_{label}" for label in range(count)] if data.test.y.dim() == 1 else CELEBA
    return tuple(each for each in (drawn or labels) if each != name)


def _name(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).split(".")[-2]
