"""docs/capabilities.md says what the code says."""

from genarena.models.capabilities import Emits, Represents
from tests import capability_table


def test_the_page_is_what_the_code_says() -> None:
    page = capability_table.PAGE.read_text()
    assert capability_table.written(page) == page, "python -m tests.capability_table writes it anew"


def test_the_tables_know_models_and_classes() -> None:
    assert {Emits, Represents} < set(capability_table.given())
    assert {"glow", "vae", "ddpm"} < capability_table.models().keys()
    assert "vae_beta" not in capability_table.models()
