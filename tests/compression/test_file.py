"""The format: what is refused, and that refusing takes one line."""

import struct
import zlib

import pytest
import torch

from genarena.compression.file import CHECKSUM, FACTS, HEADER_BYTES, Codec, coder_for
from genarena.errors import ArenaError, Untrusted, UserError
from genarena.models.autoregressive.made import MADE
from genarena.models.base import GenerativeModel
from genarena.models.baseline.uniform import Uniform
from genarena.models.vae.vae import VAE
from genarena.spec import DataSpec
from tests.compression.tiny import QUIET, images, pixelcnn, vae

CONFIG = {"latent_dim": 5}
DATA = "digits-01234567"
GIVEN = DataSpec((1, 8, 8), 17, 10, condition="label")


def written(model: GenerativeModel) -> tuple[torch.Tensor, bytes]:
    x = images(model, 6)
    return x, Codec(model, CONFIG, DATA).compress(x, QUIET)


def reading(content: bytes, model: GenerativeModel, data: str = DATA) -> torch.Tensor:
    return Codec(model, CONFIG, data).decompress(content, QUIET)


@pytest.mark.parametrize("build", [pixelcnn, vae])
def test_round_trip(build) -> None:
    model = build((1, 8, 8), 17, "categorical")
    x, content = written(model)
    assert len(content) > HEADER_BYTES == 32
    assert torch.equal(reading(content, model), x)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert written(model)[1] == content
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_every_damaged_byte_is_noticed() -> None:
    model = pixelcnn((1, 8, 8), 17, "categorical")
    _, content = written(model)
    for index in range(len(content)):
        damaged = bytearray(content)
        damaged[index] ^= 0x10
        with pytest.raises(Untrusted) as error:
            reading(bytes(damaged), model)
        assert "\n" not in str(error.value)
    for damaged in (b"", content[:-4], content[:20], content + b"\0\0\0\0", b"PNG" + content):
        with pytest.raises(Untrusted):
            reading(damaged, model)


def test_another_model_data_set_or_version_is_refused() -> None:
    model = pixelcnn((1, 8, 8), 17, "categorical")
    _, content = written(model)
    with pytest.raises(UserError, match="not of the data set mnist-1"):
        reading(content, model, "mnist-1")
    with pytest.raises(UserError, match="another model"):
        Codec(model, {"latent_dim": 6}, DATA).decompress(content, QUIET)
    facts = bytearray(content[: FACTS.size])
    facts[3] = 3
    newer = facts + CHECKSUM.pack(zlib.crc32(facts + content[HEADER_BYTES:])) + content[HEADER_BYTES:]
    with pytest.raises(UserError, match="version 3"):
        reading(bytes(newer), model)
    with pytest.raises(UserError, match="version 1"):  # it had a shorter header
        reading(bytes([*content[:3], 1, *content[4:]]), model)
    with torch.no_grad():
        model.heads[0].out.bias[0] += 1e-6
    with pytest.raises(UserError, match="other weights"):
        reading(content, model)


@pytest.mark.parametrize("build", [pixelcnn, vae])
def test_other_probabilities_do_not_pass_for_lossless(build) -> None:
    """What another machine's arithmetic would do: the hashes agree and the probabilities do not."""
    model = build((1, 8, 8), 17, "categorical")
    _, content = written(model)
    codec = Codec(model, CONFIG, DATA)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
    with pytest.raises(Untrusted, match="do not decode"):
        codec.decompress(content, QUIET)


def test_words_of_no_message_are_refused() -> None:
    model = pixelcnn((1, 8, 8), 17, "categorical")
    _, content = written(model)
    for pattern in (b"\xff", b"\0"):
        words = pattern * 400
        facts = content[: FACTS.size]
        with pytest.raises(Untrusted):
            reading(facts + CHECKSUM.pack(zlib.crc32(facts + words)) + words, model)


def test_a_stack_that_ends_in_zero_is_refused() -> None:
    model = vae((1, 8, 8), 17, "categorical")
    _, content = written(model)
    facts, words = content[: FACTS.size], content[HEADER_BYTES:] + struct.pack("<I", 0)
    with pytest.raises(Untrusted):
        reading(facts + CHECKSUM.pack(zlib.crc32(facts + words)) + words, model)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Uniform(DataSpec((1, 8, 8), 17)), "Uniform cannot compress"),
        (VAE(GIVEN, latent_dim=2, channels=4, hidden=8), "VAE is conditional on label: only p"),
        (MADE(GIVEN, hidden=[8]), "MADE is conditional on label: only p"),
        (VAE(DataSpec((2,)), latent_dim=2, hidden=8), "only images of integer levels"),
    ],
)
def test_models_that_cannot_compress_say_so(model: GenerativeModel, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        coder_for(model)
    assert "\n" not in str(error.value)


def test_images_that_the_model_does_not_describe_are_refused() -> None:
    model = vae((1, 8, 8), 17, "categorical")
    for x in (torch.zeros(2, 1, 8, 9), torch.full((2, 1, 8, 8), 17), torch.zeros(0, 1, 8, 8)):
        with pytest.raises(ArenaError, match="expected at least one of"):
            Codec(model, CONFIG, DATA).compress(x.to(torch.uint8), QUIET)


def test_a_model_that_diverged_is_refused() -> None:
    model = vae((1, 8, 8), 17, "categorical")
    x = images(model, 2)
    with torch.no_grad():
        next(model.decoder.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        Codec(model, CONFIG, DATA).compress(x, QUIET)
