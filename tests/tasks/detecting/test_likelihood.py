"""Likelihood scores: units, batches, the typical set, ratio and ensemble; on models with known densities."""

import math
from pathlib import Path

import pytest
import torch

from genarena.data.digits import Digits
from genarena.errors import UserError
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.baseline.uniform import Uniform
from genarena.models.diffusion.ddpm import DDPM
from genarena.spec import Batch, DataSpec
from genarena.tasks.detecting import codecs
from genarena.tasks.detecting.score import Judge
from genarena.tasks.detecting.scores import Scores
from genarena.tasks.detecting.sets import Examples, drawn
from tests.models.tiny import NARROW

SPEC = DataSpec((1, 8, 8), 17, 10)


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(spec=SPEC)
    data.setup()
    return data


@pytest.fixture(scope="module")
def gaussian(digits: Digits) -> Gaussian:
    model = Gaussian(SPEC)
    model.observe(Batch(digits.train.x))
    return model.eval()


def scored(name: str, judge: Judge, examples: Examples, **options: object) -> torch.Tensor:
    asked = Scores(scores=[name], **options)
    (score,) = asked.found(judge)
    return score(judge, examples)


def judge_of(model: object, data: Digits, **others: object) -> Judge:
    return Judge(model, drawn(data.val, 0, 50, SPEC, "val"), **others)


def test_scores_are_their_formulas(gaussian: Gaussian, digits: Digits) -> None:
    judge, examples = judge_of(gaussian, digits), drawn(digits.test, 0, 30, SPEC, "test")
    nats = -gaussian.log_prob(examples.x).double()
    assert torch.allclose(scored("nll", judge, examples), nats)
    typical = -gaussian.log_prob(judge.val.x).double().mean()
    assert torch.allclose(scored("typicality", judge, examples), (nats - typical).abs(), atol=1e-6)
    shortest = torch.minimum(*(codecs.bits(examples.x, codec) for codec in codecs.CODECS))
    assert torch.allclose(scored("complexity", judge, examples), nats / math.log(2) - shortest, atol=1e-6)  # both bits


def test_a_uniform_model_leaves_the_negative_length_of_the_file(digits: Digits) -> None:
    judge, examples = judge_of(Uniform(SPEC), digits), drawn(digits.test, 0, 10, SPEC, "test")
    shortest = torch.minimum(*(codecs.bits(examples.x, codec) for codec in codecs.CODECS))
    assert torch.allclose(scored("complexity", judge, examples), 64 * math.log2(17) - shortest, atol=1e-3)


def test_ratio_and_waic(gaussian: Gaussian, digits: Digits) -> None:
    examples, flat = drawn(digits.test, 0, 10, SPEC, "test"), Uniform(SPEC)
    nats = -gaussian.log_prob(examples.x).double()
    level = 64 * math.log(17)
    ratio = scored("likelihood_ratio", judge_of(gaussian, digits, background=flat), examples, background="a/b/c")
    assert torch.allclose(ratio, nats - level, atol=1e-3)
    waic = scored("waic", judge_of(gaussian, digits, ensemble=(flat,)), examples, ensemble=["a/b/c"])
    assert torch.allclose(waic, (nats + level) / 2 + (nats - level) ** 2 / 2, rtol=1e-5)  # mean and variance of two


def test_no_value_depends_on_its_batch(digits: Digits) -> None:
    """The bound of a diffusion model draws steps and noise from torch."""
    torch.manual_seed(0)
    judge = judge_of(DDPM(SPEC, num_steps=20, net=NARROW).eval(), digits, draws=3)
    x = drawn(digits.test, 0, 6, SPEC, "").x
    for name in ("nll", "typicality", "complexity"):
        whole = scored(name, judge, Examples(x, SPEC))
        alone = torch.cat([scored(name, judge, Examples(x[k : k + 1], SPEC)) for k in (4, 1)])
        assert torch.allclose(whole[[4, 1]], alone, rtol=1e-4), name
        assert torch.equal(whole, scored(name, judge, Examples(x, SPEC)))


def test_what_does_not_fit_is_one_line(gaussian: Gaussian, digits: Digits) -> None:
    with pytest.raises(ValueError, match="scores=nl: there is no such score; did you mean nll"):
        Scores(scores=["nl"])
    with pytest.raises(ValueError, match="scores=waic: name the runs that it needs, algorithm.ensemble=<run>"):
        Scores(scores=["waic"])
    with pytest.raises(ValueError, match="Gaussian has no score class_max"):
        Scores(scores=["class_max"]).found(judge_of(gaussian, digits))
    assert [each.name for each in Scores().found(judge_of(gaussian, digits))][:3] == ["nll", "typicality", "complexity"]


def test_other_runs_are_named_with_their_weights(tmp_path: Path) -> None:
    """So that a row is not there already, if one of them was trained again; a run that is not there is noticed first."""
    run = tmp_path / "mnist" / "glow" / "run"
    algorithm = Scores(background=str(run), ensemble=[str(run)])
    with pytest.raises(UserError, match="there is no run"):
        algorithm.options()
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").touch()
    with pytest.raises(UserError, match="mnist/glow/run: the run is not finished"):
        algorithm.options()
    named = []
    for weights in (b"one", b"two"):
        (run / "checkpoints" / "chosen.ckpt").write_bytes(weights)
        options = algorithm.options()
        assert options["ensemble"] == [options["background"]]
        named.append(options["background"])
    assert named == ["mnist/glow/run@7692c3ad", "mnist/glow/run@3fc4ccfe"]
