"""The data that each model is tried on: digits, or short sound for models of sound alone, with a mel where they need one."""

from hydra.utils import get_object

from genarena.models.base import GenerativeModel
from tests.capability_table import target

SHORT_SOUND = ("data=toy_audio", "data.segment=768", "data.stride=256")


def class_of(name: str) -> type[GenerativeModel]:
    """The class of the model of that name."""
    return get_object(target("model", name))


def home(name: str) -> list[str]:
    """`data=...`, and the options that make it small and right for the model."""
    model = class_of(name)
    if model.takes_images:
        return ["data=digits"]
    return [*SHORT_SOUND, *([f"data.condition={model.condition_kinds[0]}"] if model.needs_condition else [])]
