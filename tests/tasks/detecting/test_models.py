"""Scores by capability, on models with known answers; regret is never negative; no score depends on its batch."""

import math

import pytest
import torch

from genarena.build import build
from genarena.data.digits import Digits
from genarena.likelihood import Likelihood, to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Denoises, Differentiates, Discriminates, Emits, Infers
from genarena.spec import DataSpec
from genarena.statistics.detection import auroc
from genarena.tasks.detecting.denoising import TIMES, DenoisingLoss, DenoisingReconstruction, ScoreNorm
from genarena.tasks.detecting.dose import DoSE, DoSESVM, LatentNorm, LogDet, log_kernel_density
from genarena.tasks.detecting.inference import KL, Reconstruction
from genarena.tasks.detecting.regret import DRAWS, Regret, regret
from genarena.tasks.detecting.score import Judge, Score
from genarena.tasks.detecting.scores import Scores
from genarena.tasks.detecting.sets import Examples, drawn
from genarena.tasks.detecting.surface import Discriminator, Energy, Projection
from genarena.tasks.noise import Noise
from tests.models.tiny import tiny

SPEC, DIMS = DataSpec((1, 8, 8), 17, 10), 64
FEWER = {"ebm": ["model.ais_steps=5", "model.ais_chains=2"], "ddpm": ["model.num_steps=50"]}
NAMES = ("vae", "glow", "ddpm", "dcgan", "ebm", "made", "vqvae")


def model_of(name: str) -> GenerativeModel:
    torch.manual_seed(0)
    return build(tiny(name, *FEWER.get(name, [])), "model").eval()


def normals(num: int, scale: float, seed: int, dims: int = 6) -> Examples:
    x = scale * torch.randn(num, dims, generator=torch.Generator().manual_seed(seed))
    return Examples(x, DataSpec((dims,)))


class StandardNormal(Denoises, Differentiates):
    """Everything of N(0, I) in closed form; its density is not normalised."""

    likelihood = Likelihood.NONE
    spec, device = DataSpec((6,)), torch.device("cpu")

    def marginal(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (t * math.pi / 2).cos(), (t * math.pi / 2).sin()

    def denoise(self, x_t: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return self.marginal(t)[0][:, None] * x_t

    def log_density(self, u: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return -0.5 * u.square().sum(1) + 3.0


def test_scores_of_a_known_density() -> None:
    judge, x = Judge(StandardNormal(), normals(500, 1.0, 0)), normals(50, 2.0, 1)
    assert torch.allclose(Energy()(judge, x), (0.5 * x.x.square().sum(1) - 3.0).double())
    norms = ScoreNorm().values(judge, x)  # s |grad log p_t(a x)| = s a |x|
    a, s = judge.model.marginal(torch.tensor(TIMES))
    assert torch.allclose(norms, (x.x.square().mean(1).sqrt()[:, None] * a * s).double(), rtol=1e-4)
    losses = DenoisingLoss().values(judge, normals(4_000, 1.0, 2)).mean(0)  # E|eps - eps'|^2 = a^2 for N(0, I)
    assert torch.allclose(losses, (a**2).double(), rtol=0.05)


@pytest.mark.parametrize("kind", [Energy, DenoisingLoss, DenoisingReconstruction, ScoreNorm])
def test_wider_data_is_more_anomalous(kind: type[Score]) -> None:
    judge = Judge(StandardNormal(), normals(500, 1.0, 0))
    inside, outside = kind()(judge, normals(400, 1.0, 3)), kind()(judge, normals(400, 3.0, 4))
    assert auroc(inside.numpy(), outside.numpy()).value > 0.85


class Linear(Infers, torch.nn.Module):
    """x = z + 0.1 noise in two dimensions, with an encoder that is exact up to an offset."""

    likelihood, latent_dim = Likelihood.LOWER_BOUND, 2
    spec, device = DataSpec((2,)), torch.device("cpu")

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = torch.nn.Parameter(torch.full((2,), offset))
        self.unused = torch.nn.Parameter(torch.ones(3))

    def prior(self, y: torch.Tensor | None, num: int) -> "Normal":
        return Normal(torch.zeros(num, 2), torch.zeros(num, 2))

    def posterior(self, x: torch.Tensor, y: torch.Tensor | None = None) -> "Normal":
        return Normal(x / 1.01 + self.offset, torch.full_like(x, math.log(0.01 / 1.01)))

    def likelihood_of(self, z: torch.Tensor, y: torch.Tensor | None = None) -> "Normal":
        return Normal(z, torch.full_like(z, math.log(0.01)))


class Normal:
    def __init__(self, mean: torch.Tensor, log_var: torch.Tensor) -> None:
        self.mean, self.log_var = mean, log_var

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return -0.5 * ((x - self.mean) ** 2 / self.log_var.exp() + self.log_var + math.log(2 * math.pi))


def test_regret_is_what_the_encoder_lost() -> None:
    """An offset o of the exact encoder costs o^2 / (2 v) nats a dimension, v = 0.01 / 1.01; 100 steps of 2e-4 move by 0.02."""
    x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    noise = [Noise.of([(k,) for k in range(30)]) for _ in range(2)]
    exact, off = regret(Linear(0.0), x, noise[0]), regret(Linear(0.015), x, noise[1])
    assert (exact >= 0).all() and (off >= 0).all()
    cost = 2 * 0.015**2 / (2 * 0.01 / 1.01)
    spread = (off - exact).std() / 30**0.5  # of the few draws of z that the bounds share
    assert (off - exact).mean().item() == pytest.approx(cost, abs=4 * spread.item() + 0.005)
    assert DRAWS >= 2


def test_kl_and_reconstruction_of_a_known_model() -> None:
    model = Linear(0.0)
    x = normals(20, 1.0, 0, 2)
    judge = Judge(model, x)
    v = 0.01 / 1.01
    wanted = 0.5 * ((x.x / 1.01).square() + v - 1.0 - math.log(v)).sum(1)
    assert torch.allclose(KL()(judge, x), wanted.double(), rtol=1e-5)
    error = 0.5 * ((x.x - x.x / 1.01).square() / 0.01 + math.log(0.01 * 2 * math.pi)).sum(1)
    assert torch.allclose(Reconstruction()(judge, x), error.double(), rtol=1e-4)


class Slope(Discriminates):
    """A critic that is larger on the right."""

    spec, device = DataSpec((3,)), torch.device("cpu")

    def discriminate(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return x[:, 0]


def test_what_the_critic_takes_for_data_is_less_anomalous() -> None:
    x = Examples(torch.tensor([[0.5, 0.0, 0.0], [-2.0, 9.0, 0.0]]), Slope.spec)
    assert Discriminator()(Judge(Slope(), x), x).tolist() == [-0.5, 2.0]


class Plane(Emits):
    """x = (z_1, 2 z_2, 0): what lies off the plane cannot be made."""

    latent_dim, likelihood = 2, Likelihood.NONE
    spec, device = DataSpec((3,)), torch.device("cpu")

    def emit(self, z: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return torch.stack([z[:, 0], 2 * z[:, 1], torch.zeros(len(z))], 1)


def test_projection_is_the_distance_from_the_plane() -> None:
    x = Examples(torch.tensor([[0.5, -0.5, 0.0], [0.3, 0.2, 0.6], [-0.8, 0.1, -1.2]]), Plane.spec)
    found = Projection()(Judge(Plane(), x), x)
    assert torch.allclose(found, torch.tensor([0.0, 0.12, 0.48], dtype=torch.float64), atol=1e-3)


def test_a_kernel_density_integrates_to_one_and_finds_the_density() -> None:
    sample = torch.randn(4_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    at = torch.linspace(-6, 6, 1_201, dtype=torch.float64)
    density = log_kernel_density(sample, at).exp()
    assert (density.sum() * 0.01).item() == pytest.approx(1.0, abs=1e-3)
    assert torch.allclose(density, torch.exp(-0.5 * at**2) / (2 * math.pi) ** 0.5, atol=0.03)
    assert log_kernel_density(sample, torch.tensor([1e4], dtype=torch.float64)).isfinite().all()


def test_a_machine_on_statistics_finds_what_lies_outside() -> None:
    """Two statistics of N(0, I), the norm of the score and the loss: wide and narrow data are both unusual."""
    judge = Judge(StandardNormal(), normals(300, 1.0, 0))
    inside = DoSESVM()(judge, normals(100, 1.0, 3)).numpy()
    for scale in (0.3, 3.0):
        assert auroc(inside, DoSESVM()(judge, normals(50, scale, 4)).numpy()).value > 0.9
    assert auroc(inside, DoSESVM()(judge, normals(100, 1.0, 5)).numpy()).value == pytest.approx(0.5, abs=0.12)


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(spec=SPEC)
    data.setup()
    return data


@pytest.mark.parametrize("name", NAMES)
def test_no_score_of_a_model_depends_on_its_batch(name: str, digits: Digits) -> None:
    model = model_of(name)
    judge = Judge(model, drawn(digits.val, 0, 6, SPEC, "val"), draws=2)
    x = drawn(digits.test, 0, 3, SPEC, "").x
    for score in Scores().found(judge):
        whole, again = score(judge, Examples(x, SPEC)), score(judge, Examples(x[[2, 0]], SPEC))
        assert whole.shape == (3,) and whole.dtype == torch.float64 and whole.isfinite().all(), score.name
        assert torch.allclose(whole[[2, 0]], again, rtol=1e-3, atol=1e-3), score.name


def test_a_density_without_its_constant_gives_its_energy_and_no_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("ebm")
    monkeypatch.setattr(type(model), "partition", lambda self: pytest.fail("the constant was estimated"))
    judge = Judge(model, Examples(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), SPEC))
    assert [score.name for score in Scores().found(judge)] == ["energy"]
    assert Energy()(judge, judge.val).isfinite().all()


def test_scores_that_search_are_of_the_first_examples() -> None:
    judge, sets = (
        Judge(model_of("dcgan"), Examples(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), SPEC)),
        [Examples(torch.zeros(n, 1, 8, 8, dtype=torch.uint8), SPEC) for n in (5, 3)],
    )
    algorithm = Scores(num_searched=2)
    assert [len(values) for values in algorithm.values(Projection(), judge, *sets)] == [2, 2]
    assert [len(values) for values in algorithm.values(Discriminator(), judge, *sets)] == [5, 3]


def test_statistics_of_a_flow_are_the_parts_of_its_density(digits: Digits) -> None:
    model = model_of("glow")
    judge, x = Judge(model, drawn(digits.val, 0, 20, SPEC, "val")), drawn(digits.test, 0, 10, SPEC, "test")
    latent = -0.5 * LatentNorm()(judge, x) - 0.5 * DIMS * math.log(2 * math.pi)
    assert torch.allclose(latent - LogDet()(judge, x), model.log_density(to_space(x.x, SPEC)).double(), rtol=1e-4)
    assert DoSE().facts(judge)["statistics"] == ["nll", "latent_norm", "log_det"]
    assert not Regret().fits(judge) and not Projection().fits(judge)
