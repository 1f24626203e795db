"""mel_from_text: a proper bound with densities and probabilities, gradients that stop, and a made language that is learnt."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from genarena.data.captions.characters import Characters
from genarena.data.toy_speech import DURATIONS, ToySpeech
from genarena.models.hidden_markov import frame_durations
from genarena.models.hidden_markov.mel_from_text import RATE, MelFromText
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import MEL_MEAN, MEL_STD
from genarena.spec import Batch, DataSpec
from genarena.statistics import alignment, mel
from tests.statistics.test_alignment import compositions

KNOWN = Characters.of("abc ", 6)
SPEC = DataSpec((80, 12), sample_rate=22_050, condition=KNOWN.condition())


def speaker(**options: object) -> MelFromText:
    """A small model with weights that are nowhere zero."""
    torch.manual_seed(0)
    model = MelFromText(SPEC, channels=8, dropout=0.0, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 / RATE * torch.randn(parameter.shape))
        mixed = 0.1 * torch.randn(80, 80) + 0.5 * torch.eye(80)
        model.covariance.copy_(mixed @ mixed.T if model.is_full else (mixed @ mixed.T).diagonal().diag())
    return model.eval()


def clip(frames: int, seed: int = 1) -> torch.Tensor:
    """(1, 80, 12)"""
    noise = torch.randn(1, 80, frames, generator=torch.Generator().manual_seed(seed))
    return mel.padded(noise - 5.0, 12)


def text(letters: str) -> torch.Tensor:
    return KNOWN.pad([KNOWN.words.index(letter) for letter in letters])[None]


# -- the bound


def bound_of(model: MelFromText, x: torch.Tensor, y: torch.Tensor, durations: tuple[int, ...]) -> float:
    """log p(d | y) + log p(x | d, y), by torch.distributions and loops."""
    tokens, frames = y[:, : len(durations)], sum(durations)
    h, d = model.encoder(tokens), torch.tensor([durations])
    lower = model.factor().double()
    covariance = MEL_STD**2 * lower @ lower.T
    owner, before = alignment.owners(d, frames)
    mean = model._mean(h, model.own_means(tokens), owner, before, d, torch.ones(1, frames, dtype=torch.bool))
    found = 0.0
    for t in range(frames):
        centre = MEL_MEAN + MEL_STD * mean[0, :, t].double()
        found += MultivariateNormal(centre, covariance).log_prob(x[0, :, t].double()).item()
    middle, spread = model._log_duration(h, tokens)[0].double(), (RATE * model.duration_spread).exp().double()
    for length, centre in zip(durations, middle, strict=True):
        normal = Normal(centre, spread)
        below = normal.cdf(torch.tensor(length - 0.5).double().log()).item() if length > 1 else 0.0
        found += math.log(normal.cdf(torch.tensor(length + 0.5).double().log()).item() - below)
    return found


@torch.no_grad()
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_the_bound_is_one_term_of_the_exact_sum_over_all_alignments(covariance: str) -> None:
    model, x, y = speaker(covariance=covariance), clip(7), text("abca")
    terms = torch.tensor([bound_of(model, x, y, durations) for durations in compositions(7, 4)], dtype=torch.float64)
    found = model.log_prob(x, y).item()
    assert found < terms.logsumexp(0).item()
    assert (terms - found).abs().min() < 1e-2


@torch.no_grad()
def test_frames_are_aligned_by_the_gaussians_of_the_characters() -> None:
    model, x, y = speaker(), clip(7), text("ab")
    scaled = (x[:, :, :7] - MEL_MEAN) / MEL_STD
    means, spread = model.own_means(y[:, :2]), (RATE * model.character_scale).exp()
    wanted = Normal(means[0].T[:, :, None], spread[:, None]).log_prob(scaled).sum(1)
    torch.testing.assert_close(model.scores(scaled, means)[0], wanted, rtol=1e-5, atol=1e-3)


@torch.no_grad()
def test_silence_behind_a_clip_and_its_batch_change_nothing() -> None:
    model = speaker()
    x, y = torch.cat([clip(7), clip(12, 2)]), torch.cat([text("ab"), text("abc a")])
    alone = torch.cat([model.log_prob(x[row : row + 1], y[row : row + 1]) for row in range(2)])
    torch.testing.assert_close(model.log_prob(x, y), alone, rtol=1e-5, atol=1e-3)
    assert mel.lengths(x).tolist() == [7, 12]


def test_the_covariance_is_that_of_what_the_means_leave() -> None:
    """Of the same clips again and again it is their second moment, whatever it was before."""
    model, batch = (
        speaker(decoder_layers=0).train(),
        Batch(torch.cat([clip(7), clip(12, 2)]), text("abc a").expand(2, -1)),
    )
    model.updates.zero_()
    model.progress = 1.0  # behind the flat start
    for _ in range(3):
        model.loss(batch)
    mean = model.align(*batch)[1]
    left = ((batch.x - mean) / MEL_STD).mT[torch.arange(12) < torch.tensor([[7], [12]])]
    torch.testing.assert_close(model.covariance, left.T @ left / 19, rtol=1e-4, atol=1e-4)


def test_durations_have_probabilities() -> None:
    d = torch.arange(1.0, 4001.0, dtype=torch.float64)
    for middle, log_spread in ((0.3, -0.5), (2.0, 0.2), (1.5, -3.0)):
        parameters = (torch.tensor(each, dtype=torch.float64) for each in (middle, log_spread))
        assert frame_durations.log_prob(d, *parameters).exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_drawn_durations_follow_their_probabilities() -> None:
    torch.manual_seed(0)
    mean, log_std = torch.full((20_000,), 1.0), torch.tensor(-0.7)
    drawn = frame_durations.draw(mean, log_std, 1.0)
    for d in (1, 2, 3, 5):
        share = frame_durations.log_prob(torch.tensor(float(d)), mean[0], log_std).exp().item()
        assert (drawn == d).float().mean().item() == pytest.approx(share, abs=4 * (share / 20_000) ** 0.5)
    assert (frame_durations.draw(mean, log_std, 0.0) == 3).all()  # exp(1 + e^-1.4 / 2) = 3.07


def test_durations_that_are_known_take_the_place_of_the_alignment() -> None:
    """In training alone, from its first step; d that no alignment would find."""
    model, x, y, durations = speaker(), clip(9), text("abc"), (1, 7, 1)
    with torch.no_grad():
        wanted, searched = bound_of(model, x, y, durations), model.log_prob(x, y).item()
    told = torch.stack([y, torch.tensor([[*durations, 0, 0, 0]])], 1)
    model.train().progress = 0.0  # within the flat start
    terms = model.loss(Batch(x, told))
    found = -9.0 * (terms["frames"] + terms["durations"]).item()
    assert found == pytest.approx(wanted, abs=1e-2) and abs(found - searched) > 1.0
    assert model.eval().log_prob(x, y).item() != pytest.approx(found, abs=0.5)


def test_durations_train_the_predictor_alone() -> None:
    model = speaker()
    model.loss(Batch(clip(9), text("abc")))["durations"].backward()
    reached = {
        name.split(".")[0] for name, each in model.named_parameters() if each.grad is not None and each.grad.any()
    }
    assert reached == {"predictor", "duration_spread"}


# -- speech


@torch.no_grad()
def test_a_spoken_text_has_the_frames_of_its_durations() -> None:
    model, y = speaker(), torch.cat([text("abca"), text("b")])
    durations = model.durations(y)
    made = model.pronounce(y, durations)
    assert (durations > 0).equal(y != 0) and made.shape == (2, 80, int(durations.sum(1).max()))
    assert mel.lengths(made).tolist() == durations.sum(1).tolist()
    slow, fast = (model.durations(y, speed=speed).sum().item() for speed in (0.5, 2.0))
    assert fast < durations.sum().item() < slow
    assert model.sample(2, y).shape == (2, 80, 12), "cut off where it is longer than the data"


@torch.no_grad()
def test_samples_have_the_covariance_of_the_model() -> None:
    model = speaker()
    model.use(Temperature(temperature=1.0))
    torch.manual_seed(1)
    y, durations = text("ab").expand(800, -1), torch.tensor([[6, 6, 0, 0, 0, 0]]).expand(800, -1)
    drawn = (model.pronounce(y, durations, 1.0) - model.pronounce(y, durations)).mT.flatten(0, 1)
    lower = MEL_STD * model.factor()
    spread = (lower @ lower.T).diagonal()
    torch.testing.assert_close(drawn.T.cov(), lower @ lower.T, rtol=0.0, atol=0.1 * spread.max().item())


def test_a_made_language_is_learnt_and_its_durations_are_found() -> None:
    """Each letter is a column of its own and lasts as long as it always does."""
    torch.manual_seed(0)
    plain = DataSpec((80, 64), sample_rate=22_050)
    data = ToySpeech(plain, frames=64, num_sentences=60)
    data.setup()
    spec = DataSpec((80, 64), sample_rate=22_050, condition=data.vocabulary().condition())
    model = MelFromText(spec, channels=16, encoder_layers=0, duration_layers=0, decoder_layers=0, covariance="diagonal")
    optimiser = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=0.02)
    for step in range(120):
        model.progress = step / 120
        rows = torch.randint(60, (8,))
        loss = model.loss(data.train[rows].batch(spec.condition))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = 0.02 * (1.0 - step / 120)
        optimiser.step()
    model.eval()
    x, y = data.test.batch(spec.condition)
    letters = data.vocabulary()
    with torch.no_grad():
        means = model.own_means(y)
        scores = model.scores((x - MEL_MEAN) / MEL_STD, means)
        found = alignment.monotonic(scores, (y != 0).sum(1), mel.lengths(x))
        said = model.durations(y)
    for row, tokens in enumerate(y):
        wanted = [DURATIONS[letter] for letter in letters.decode(tokens)]
        assert found[row, : len(wanted)].tolist() == wanted
        assert said[row, : len(wanted)].tolist() == wanted


# -- what is refused


@pytest.mark.parametrize(
    ("options", "said"), [({"covariance": "round"}, "covariance='round'"), ({"flat_start": 1.0}, "flat_start=1")]
)
def test_impossible_options_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MelFromText(SPEC, **options)


def test_it_takes_mels_alone_and_needs_a_text() -> None:
    with pytest.raises(ValueError, match="models mel spectrograms, and this data set has shape"):
        MelFromText(DataSpec((1, 8, 8), 17))
    with pytest.raises(ValueError, match="data.condition=characters"):
        MelFromText(DataSpec((80, 12), sample_rate=22_050))
    with pytest.raises(ValueError, match="5 characters in 3 frames"):
        speaker().log_prob(clip(3), text("abcab"))
