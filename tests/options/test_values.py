"""What the value of an option may be: one truth, on the command line and when an object is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import pytest

from genarena.build import build
from genarena.config import available, compose
from genarena.errors import UserError
from genarena.options import values
from genarena.options.signatures import parameters
from genarena.options.values import BelowRoot, Count, Folder, Place, Positive, Range, Share, place_of, refusal
from tests.capability_table import target


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Count, 1, ""),
        (Count, 0, "at least 1"),
        (Count, 1.0, "int"),
        (Count, True, "int"),
        (Count | None, None, ""),
        (Count | None, 0, "at least 1"),
        (Count | None, "a", "int or null"),
        (Share, 1, ""),
        (Share, 1.5, "0 to 1"),
        (Positive, 1e-300, ""),
        (Positive, 0, "a positive number"),
        (Positive, float("inf"), "a finite number"),
        (float, float("inf"), ""),  # a YAML may say that there is no limit
        (bool, 1, "bool"),
        (Literal["a", "b"] | None, None, ""),
        (Literal["a", "b"] | None, "c", "a, b or null"),
        (Annotated[int, Range(2, 5)], 6, "2 to 5"),
        (values.Something, object(), ""),
        (values.Something | None, 3, ""),
    ],
)
def test_what_is_expected(kind: object, value: object, expected: str) -> None:
    assert refusal(value, kind) == expected


def test_the_source_says_what_the_imported_signature_says() -> None:
    """For every option of a model with a range: the command line and `build` read the same type."""
    from genarena.models.vae.vae import VAE

    read, imported = parameters("genarena.models.vae.vae.VAE"), values.hints(VAE)
    known = {name for name, kind in read.items() if values.is_known(kind)}
    assert {"latent_dim", "beta", "warmup", "patch"} <= known
    assert {name: read[name] for name in known} == {name: imported[name] for name in known}


def test_whole_numbers_of_models_say_how_small_they_may_be() -> None:
    """So that k = 0, no layers or a negative width are refused by name before anything is built."""
    for name in available("model"):
        for option, kind in parameters(target("model", name)).items():
            for part in values.alternatives(kind):
                items = (part, *(get_args(part) if get_origin(part) is not Annotated else ()))
                assert int not in items, f"model={name}: {option}"


def test_build_refuses_what_the_command_line_refuses() -> None:
    spec = {"_target_": "genarena.spec.DataSpec", "shape": [1, 8, 8], "num_levels": 17}
    training = {"_target_": "genarena.training.module.Training", "ema_decay": 1.5}
    node = {"_target_": "genarena.models.vae.vae.VAE", "spec": spec}
    with pytest.raises(UserError, match=r"model\.latent_dim=0: expected at least 1"):
        build(node | {"latent_dim": 0}, "model")
    with pytest.raises(UserError, match=r"model\.training\.ema_decay=1\.5: expected 0 to 1"):
        build(node | {"training": training}, "model")


def test_a_size_that_the_data_refuses_is_named_by_its_key() -> None:
    """Also where the model or its network finds it out."""
    spec = {"_target_": "genarena.spec.DataSpec", "shape": [1, 8, 8], "num_levels": 17}
    node = {"_target_": "genarena.models.flow.glow.Glow", "spec": spec, "num_levels": 4}
    with pytest.raises(UserError, match=r"^model\.num_levels=4: expected 1 to 3 for images of 8x8$"):
        build(node, "model")
    with pytest.raises(UserError, match=r"^model: height and width are halved"):
        build(node | {"spec": spec | {"shape": [1, 7, 7]}}, "model")
    net = {"_target_": "genarena.nets.by_shape.unet_or_mlp", "_partial_": True, "hidden_channels": 7}
    node = {"_target_": "genarena.models.diffusion.ddpm.DDPM", "spec": spec, "net": net, "num_steps": 70}
    with pytest.raises(UserError, match=r"^model\.net\.hidden_channels=7: expected a positive multiple of 8$"):
        build(node, "model")


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (
            {"_target_": "torch.optim.SGD", "betas": [0.9, 0.99]},
            r"^model\.training\.optimizer\.betas: SGD has no such option",
        ),
        (
            {"_target_": "torch.optim.Adam", "betas": [0.9, 2.0]},
            r"^model\.training\.optimizer\.betas=\[0\.9, 2\.0\]: Adam: Invalid beta parameter",
        ),
        (
            {"_target_": "torch.optim.Adam", "betas": [0.9]},
            r"^model\.training\.optimizer\.betas=\[0\.9\]: Adam: expected a value such as \[0\.9, 0\.999\]$",
        ),
        (
            {"_target_": "torch.optim.Adam", "betas": [0.9, 0.99, 0.999]},  # found at the first step only
            r"^model\.training\.optimizer\.betas=\[0\.9, 0\.99, 0\.999\]: Adam: expected a value such as",
        ),
        (
            {"_target_": "torch.optim.Adam", "eps": 1e-8, "lr": "abc"},
            r"^model\.training\.optimizer\.lr=abc: Adam: expected a value such as 0\.001$",
        ),
        (
            {"_target_": "torch.optim.Adam", "lr": -1.0, "weight_decay": 0.1},
            r"^model\.training\.optimizer\.lr=-1\.0: Adam: Invalid learning rate",
        ),
        ({"_target_": "torch.optim.Adam", "lr": None}, r"^model\.training\.optimizer\.lr=null: Adam: expected a value"),
        (
            {"_target_": "torch.optim.SGD", "nesterov": True, "weight_decay": 0.1},
            r"^model\.training\.optimizer\.nesterov=true: SGD: Nesterov",
        ),
    ],
)
def test_an_optimiser_that_cannot_be_is_refused_before_training(optimizer: dict, expected: str) -> None:
    spec = {"_target_": "genarena.spec.DataSpec", "shape": [3]}
    training = {
        "_target_": "genarena.training.module.Training",
        "optimizer": {"lr": 0.1} | optimizer | {"_partial_": True},
    }
    node = {"_target_": "genarena.models.flow.maf.MAF", "spec": spec, "training": training}
    with pytest.raises(UserError, match=expected):
        build(node, "model")


def test_fields_of_a_dataclass() -> None:
    @dataclass
    class Settings:
        size: Count = 1

        def __post_init__(self) -> None:
            values.check_fields(self, "settings")

    values.hints.cache_clear()
    with pytest.raises(ValueError, match=r"settings\.size=0: expected at least 1"):
        Settings(0)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Mode = Literal['a', 'b']\nclass C:\n    def __init__(self, mode: Mode = 'a'): ...", "a, b"),
        ("class C:\n    def __init__(self, mode: 'Count | None'): ...", "int or null"),
        ("class C:\n    mode: Annotated[int, Range(2, 3)]", "int"),
        ("class B:\n    mode: Share\nclass C(B): ...", "float"),
        ("class C:\n    def __init__(self, mode: Callable[[int], torch.Tensor] | None): ...", ""),
        ("class C:\n    def __init__(self, mode: int if True else str): ...", ""),
    ],
)
def test_types_are_read_without_importing(source: str, expected: str, tmp_path: Path, monkeypatch) -> None:
    package = f"read_{abs(hash(source))}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "file.py").write_text(f"raise SystemExit('imported')\n{source}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert refusal("c", parameters(f"{package}.file.C")["mode"]) == expected


def test_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert Place().read("~/a") == f"{tmp_path}/me/a"
    assert Place().read("a=b") == str(tmp_path / "a=b")
    assert Place().read("null") == str(tmp_path / "null")
    assert Place(below=True).read("a") == "a"
    assert Place(below=True).read("~/a") == f"{tmp_path}/me/a"
    assert Place(address=True).read("s3://a/b") == "s3://a/b"
    assert Place(words=("download",)).read("download") == "download"
    for wrong in ("", " ", "${oc.env:HOME}", "a\nb"):
        with pytest.raises(UserError):
            Place().read(wrong)
    assert place_of(Folder | None) == Place() and place_of(BelowRoot) is not None and place_of(Count) is None
    monkeypatch.setenv("SOMEWHERE", "~/cache")
    assert values.from_environment("SOMEWHERE") == tmp_path / "me" / "cache"
    for blank in ("", " "):
        monkeypatch.setenv("SOMEWHERE", blank)
        assert values.from_environment("SOMEWHERE") is None


def test_a_text_at_the_top_of_a_module_is_no_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "with_address").mkdir()
    (tmp_path / "with_address" / "__init__.py").write_text("")
    text = 'ADDRESS = "http://example.org/a b"\nclass A:\n    def __init__(self, x: int = 1, y: "any text" = 2): ...\n'
    (tmp_path / "with_address" / "a.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert parameters("with_address.a.A") == {"x": int, "y": values.Something}


@pytest.mark.parametrize("name", ["svhn", "omniglot"])
def test_options_of_sets_whose_file_holds_an_address(name: str) -> None:
    assert parameters(compose(["model=uniform", f"data={name}"]).data["_target_"])["flip"] is bool


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ([1, 2], list[int], ""),
        ((1, 2), Sequence[Count], ""),
        ([], tuple[int, ...], ""),
        (["zz"], Sequence[int], "a list, each of its values int"),
        ([1, {"a": 2}], list[int], "a list, each of its values int"),
        ([0], Sequence[Count], "a list, each of its values at least 1"),
        ("abc", list[str], "a list"),
        (3, Sequence[int] | None, "a list"),
        (None, Sequence[int] | None, ""),
        ("x", float | list[float] | None, "float or a list or null"),
        (["x"], float | list[float] | None, "a list, each of its values float"),
    ],
)
def test_a_list_is_checked_value_by_value(value: object, kind: object, said: str) -> None:
    assert refusal(value, kind) == said
