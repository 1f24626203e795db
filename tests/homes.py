"""The data that each model is tried on: digits; short sound for models of sound alone, with a mel where they need one; made
speech for models of mels."""

import re

from hydra.utils import get_object

from genarena.config import file_of
from genarena.models.base import GenerativeModel
from tests.capability_table import target

SHORT_SOUND = ("data=toy_audio", "data.segment=768", "data.stride=256")
OF_LARGER_IMAGES = {
    "manifold_flow_paper": ("model.latent_dim=16", "model.num_levels=3")
}  # sizes that digits do not have


def class_of(name: str) -> type[GenerativeModel]:
    """The class of the model of that name."""
    return get_object(target("model", name))


def pictured(name: str) -> bool:
    """Whether the model takes images: its class does, and the network that its file names."""
    network = re.search(r"override /net@_global_\.net: (\w+)", file_of("model", name).read_text())
    of_sound = network is not None and getattr(get_object(target("net", network[1])), "takes_sound", False)
    return class_of(name).takes_images and not of_sound


def home(name: str) -> list[str]:
    """`data=...`, and the options that make it small and right for the model."""
    model = class_of(name)
    sound = ("data=toy_speech",) if model.takes_mels else SHORT_SOUND
    own = ("data=digits", *OF_LARGER_IMAGES.get(name, ())) if pictured(name) else sound
    return [*own, *([f"data.condition={model.condition_kinds[0]}"] if model.needs_condition else [])]
