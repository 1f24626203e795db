"""Conditions: their null value, their checks, and the vector that a network sees."""

import pytest
import torch

from genarena.nets.conditioning import MEL_MEAN, MEL_STD, Conditioning, in_parts, mixture
from genarena.spec import Condition, DataSpec, level_dtype

LABEL, ATTRIBUTES = Condition("label", 3), Condition("attributes", 2)


def test_labels_are_one_hot_and_attributes_are_signs() -> None:
    assert Conditioning(LABEL)(torch.tensor([2, 0]), 2).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert Conditioning(ATTRIBUTES)(torch.tensor([[1, 0], [0, 0]]), 2).tolist() == [[1, -1], [-1, -1]]


def test_no_condition_is_an_entry_of_its_own_where_it_was_learned() -> None:
    labels, attributes = Conditioning(LABEL, 0.1).eval(), Conditioning(ATTRIBUTES, 0.1).eval()
    assert labels(None, 2).tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]
    assert labels(torch.tensor([1, 3]), 2).tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]], "3 is the null label"
    assert attributes(None, 1).tolist() == [[0, 0, 1]]
    assert attributes(torch.tensor([[0, 1]]), 1).tolist() == [[-1, 1, 0]]


def test_a_mixture_has_the_mean_of_the_vectors() -> None:
    for condition, y in ((LABEL, torch.tensor([2, 0])), (ATTRIBUTES, torch.tensor([[1, 0], [0, 0]]))):
        for dropout in (0.0, 0.1):
            layer, ends = Conditioning(condition, dropout), mixture(condition, y)
            layer.train()  # a mixture loses no condition
            wanted = Conditioning(condition, dropout).eval()(y, 2)
            assert torch.equal(layer(ends, 2), wanted)
            assert torch.allclose(layer(ends.lerp(ends.flip(0), 0.25), 2), wanted.lerp(wanted.flip(0), 0.25))
        with pytest.raises(ValueError, match="expected a mixture"):
            layer(ends[:, :1], 2)


def test_parts_have_the_conditions_of_their_examples() -> None:
    layer, y = Conditioning(LABEL), torch.tensor([2, 0, 1, 1, 2])
    assert [(num, part.tolist()) for num, part in in_parts(layer, 5, 2, y)] == [(2, [2, 0]), (2, [1, 1]), (1, [2])]
    assert [(num, len(part)) for num, part in in_parts(layer, 2, 2, mixture(LABEL, y[:2]))] == [(2, 2)]
    assert in_parts(None, 5, 4, y) == in_parts(layer, 5, 4, None) == [(4, None), (1, None)]
    assert in_parts(None, 0, 4, None) == [(0, None)]
    for others in (y[:4], y.repeat(2), mixture(LABEL, y[:4])):
        with pytest.raises(ValueError, match=r"^y is torch\.\w+ \(\d+,.*expected"):
            in_parts(layer, 5, 5, others)


def test_on_another_device_the_form_is_checked_without_waiting_for_it() -> None:
    layer = Conditioning(LABEL)
    layer.check(torch.zeros(2, dtype=torch.long, device="meta"), 2)
    for wrong in (torch.zeros(3, dtype=torch.long, device="meta"), torch.zeros(2, dtype=torch.int32, device="meta")):
        with pytest.raises(ValueError, match="expected label"):
            layer(wrong, 2)


def test_a_mel_stays_frames_and_no_mel_is_zero_with_a_band_of_its_own() -> None:
    condition = Condition("mel", 5, (5, 7))
    y = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0)) * MEL_STD + MEL_MEAN
    plain = Conditioning(condition)
    assert plain.out_features == 5 and torch.equal(plain(y, 2), (y - MEL_MEAN) / MEL_STD)
    layer = Conditioning(condition, 0.1).eval()
    assert layer.out_features == 6
    assert torch.equal(layer(y, 2), torch.cat([(y - MEL_MEAN) / MEL_STD, torch.zeros(2, 1, 7)], 1))
    lacking = torch.cat([torch.zeros(5, 7), torch.ones(1, 7)])
    assert torch.equal(layer(None, 2), lacking.expand(2, -1, -1))
    assert torch.equal(layer(torch.stack([y[0], condition.nulls(1)[0]]), 2), torch.stack([layer(y[:1], 1)[0], lacking]))
    torch.manual_seed(0)
    lost = layer.train()(y[:1].expand(4000, -1, -1), 4000)[:, -1, 0].mean()
    assert lost.item() == pytest.approx(0.1, abs=0.015)  # three standard errors
    with pytest.raises(ValueError, match="without dropout"):
        plain(None, 2)
    with pytest.raises(ValueError, match="not finite"):
        condition.check(torch.cat([y[:1], y[1:].index_fill(2, torch.tensor(3), float("nan"))]))


@pytest.mark.parametrize("y", [None, torch.tensor([3, 0])])
def test_no_condition_is_refused_where_it_was_not_learned(y: torch.Tensor | None) -> None:
    with pytest.raises(ValueError, match="trained without dropout of conditions, so y is needed") as error:
        Conditioning(LABEL)(y, 2)
    assert "\n" not in str(error.value)


def test_dropout_loses_its_share_in_training_only() -> None:
    torch.manual_seed(0)
    layer, y = Conditioning(LABEL, 0.25), torch.arange(3).repeat(2000)
    lost = layer.train()(y, len(y))[:, -1]
    assert lost.mean().item() == pytest.approx(0.25, abs=0.02)  # four standard errors
    assert layer.eval()(y, len(y))[:, -1].sum() == 0


@pytest.mark.parametrize("condition", [LABEL, ATTRIBUTES, Condition("caption", 9, (4,)), Condition("mel", 5, (5, 7))])
def test_null_is_no_condition_of_the_data(condition: Condition) -> None:
    assert condition.nulls(3).shape == (3, *condition.shape)
    assert condition.nulls(3).dtype == condition.dtype
    assert condition.is_null(condition.nulls(3)).all()
    assert not condition.is_null(torch.zeros(3, *condition.shape, dtype=condition.dtype)).any()


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.tensor([0.0, 1.0]), "float32"),
        (torch.tensor([0, 1, 2]), "expected label"),
        (torch.tensor([[0], [1]]), "expected label"),
        (torch.tensor([0, 4]), "y has label 4: expected 0 to 2"),
        (torch.tensor([-1, 0]), "y has label -1: expected 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(y: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LABEL.check(y, 2)


def test_the_spec_gives_the_size_of_a_condition() -> None:
    spec = DataSpec((1, 8, 8), 17, 10, condition="label")
    assert spec.condition == Condition("label", 10)
    assert DataSpec((1, 8, 8), num_attributes=40, condition="attributes").condition.shape == (40,)
    with pytest.raises(ValueError, match="data.condition=label: no number of classes is known"):
        DataSpec((1, 8, 8), 17, condition="label")
    with pytest.raises(
        ValueError, match="data.condition=lable: expected label, attributes, caption, characters, mel or null"
    ):
        DataSpec((1, 8, 8), 17, 10, condition="lable")


def test_some_training_examples_keep_their_condition() -> None:
    for share in (1.0, -0.1):
        with pytest.raises(ValueError, match=rf"condition_dropout={share}: expected at least 0 and below 1"):
            Conditioning(Condition("label", 3), share)


def test_words_of_captions_are_as_many_as_tokens() -> None:
    condition = Condition("caption", 4, (3,), ["", "?", "red", "circle"], "pooled")
    assert (condition.words[2], condition.null, condition.nulls(2).shape) == ("red", 4, (2, 3))
    assert DataSpec((1, 8, 8), 17, condition="caption").condition == Condition("caption", 0)
    with pytest.raises(ValueError, match="condition caption: 1 words for size=4"):
        Condition("caption", 4, (3,), ("red",))
    with pytest.raises(ValueError, match="condition label: 2 words"):
        Condition("label", 2, (), ("red", "blue"))
    with pytest.raises(ValueError, match="encoder='clip': expected one of words, pooled, minilm"):
        Condition("caption", 4, (3,), (), "clip")


def test_the_type_follows_the_levels() -> None:
    assert [level_dtype(levels) for levels in (2, 256, 257, 65_536)] == [
        torch.uint8,
        torch.uint8,
        torch.int32,
        torch.int32,
    ]
    assert DataSpec((1, 16_000), 65_536).dtype == torch.int32
    assert DataSpec((3,)).dtype == torch.float32
