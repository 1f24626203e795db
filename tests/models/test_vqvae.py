"""The bound of the VQ-VAE against all images and codes enumerated, its gradients, and when its codes move."""

import itertools
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from genarena.likelihood import Likelihood
from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.autoregressive.level_choice import TopP
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.latent_ddpm import LatentDDPM
from genarena.models.diffusion.samplers import DDIM
from genarena.models.first_stage import FirstStage
from genarena.models.sampler import Temperature
from genarena.models.vae.vqvae import VQVAE
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from tests.models.tiny import NARROW

ALL_BINARY_2X2 = torch.tensor(list(itertools.product((0, 1), repeat=4)), dtype=torch.uint8).view(16, 1, 2, 2)


def tiny(**options: object) -> VQVAE:
    """One code out of four for four binary pixels."""
    torch.manual_seed(1)
    sizes = {"num_codes": 4, "dim": 2, "hidden_channels": 4, "num_blocks": 1} | options
    return VQVAE(DataSpec((1, 2, 2), 2), **sizes)


@torch.no_grad()
def exact_log_prob(model: VQVAE) -> Tensor:
    """log of the sum over codes of p(x|e) / K, for all sixteen images."""
    num = model.codebook.num_codes
    pixels = model.likelihood_of(model.codebook.lookup(torch.arange(num).view(-1, 1, 1)))
    log_joint = [pixels.log_prob(x.expand(num, 1, 2, 2)).sum((1, 2, 3)) - math.log(num) for x in ALL_BINARY_2X2]
    return torch.logsumexp(torch.stack(log_joint), 1)


@torch.no_grad()
@pytest.mark.parametrize("codebook", ["ema", "fsq"])
def test_bound_is_below_the_sum_over_codes_and_the_gap_is_the_posterior_of_the_code(codebook: str) -> None:
    model = tiny(codebook=codebook, levels=[3, 3]).eval()
    for parameter in model.parameters():
        parameter.mul_(2.0)
    exact = exact_log_prob(model)
    assert exact.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    bound = model.log_prob(ALL_BINARY_2X2)
    assert (bound < exact).all()
    num, codes = model.codebook.num_codes, model.codes(ALL_BINARY_2X2)
    chosen = model.likelihood_of(model.codebook.lookup(codes)).log_prob(ALL_BINARY_2X2).sum((1, 2, 3))
    torch.testing.assert_close(exact - bound, exact - (chosen - math.log(num)))  # -log p(e(x)|x)


@torch.no_grad()
def test_samples_follow_the_sum_over_codes() -> None:
    model = tiny().eval()
    for parameter in model.parameters():
        parameter.mul_(2.0)
    torch.manual_seed(3)
    place = torch.tensor([8, 4, 2, 1])
    counts = torch.bincount((model.sample(40_000).flatten(1) * place).sum(1), minlength=16)
    assert (counts / 40_000 - exact_log_prob(model).exp()).abs().sum() < 0.03


def test_gradient_at_the_encoder_is_that_at_the_decoder() -> None:
    model = tiny(beta=0.0)
    kept: dict[str, Tensor] = {}
    model.encoder.register_forward_hook(lambda module, inputs, output: kept.update(encoder=output))
    model.decoder.register_forward_pre_hook(lambda module, inputs: kept.update(decoder=inputs[0]))
    loss = model.loss(Batch(ALL_BINARY_2X2))["loss"]
    ours, theirs = torch.autograd.grad(loss, [kept["encoder"], kept["decoder"]])
    assert torch.equal(ours, theirs) and ours.abs().sum() > 0


def test_commitment_is_weighed_by_beta_and_only_for_learnt_codes() -> None:
    for options, weight in (({"beta": 0.5}, 0.5), ({"codebook": "fsq", "levels": [3, 3], "beta": 0.5}, 0.0)):
        terms = tiny(**options).loss(Batch(ALL_BINARY_2X2))
        extra = terms["loss"] - terms["reconstruction"]
        assert extra.item() == pytest.approx(weight * terms["commitment"].item(), abs=1e-5)
        assert terms["commitment"] > 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_codes_move_once_per_step_towards_all_outputs_of_it(accumulate: int, tmp_path: Path) -> None:
    """With learning rate 0 the encoder stands still: the codes are those of updates made by hand."""
    optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.0)  # noqa: E731
    training = Training(optimizer=optimizer, accumulate=accumulate)
    model, x = tiny(training=training), ALL_BINARY_2X2.repeat(2, 1, 1, 1)
    by_hand = tiny()
    by_hand.load_state_dict(model.state_dict())
    outputs = by_hand.encode(x).movedim(1, -1).flatten(0, -2).detach()
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "enable_checkpointing": False,
    }
    Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **quiet).fit(
        model, DataLoader(TensorDataset(x), batch_size=8)
    )
    by_hand.codebook.start(outputs[:8])
    for part in outputs.split(8 * accumulate):
        by_hand.codebook.update(part)
    assert model.codebook.updates == 1 + 4 // accumulate
    torch.testing.assert_close(model.codebook.vectors, by_hand.codebook.vectors)
    torch.testing.assert_close(model.codebook.counts, by_hand.codebook.counts)


@torch.no_grad()
@pytest.mark.parametrize(("shape", "size"), [((1, 8, 8), (4, 4)), ((1, 28, 28), (7, 7)), ((3, 17, 30), (5, 8))])
def test_sizes_of_codes(shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    model = VQVAE(DataSpec(shape, 17), num_codes=8, dim=3, hidden_channels=4).eval()
    x = torch.randint(17, (2, *shape), dtype=torch.uint8)
    assert model.codes(x).shape == (2, *size) == (2, *model.code_size)
    assert model.decode(model.encode(x)).shape == x.shape


# -- a prior that is learnt beside the codes

WIDE = torch.tensor(list(itertools.product((0, 1), repeat=8)), dtype=torch.uint8).view(256, 1, 2, 4)
PAIRS = torch.tensor(list(itertools.product(range(3), repeat=2))).view(9, 1, 2)  # two places, three codes
PRIOR = partial(ImageGPT, block=1, hidden_channels=8, num_blocks=1, num_heads=2)


def learnt(condition: str | None = "label", **options: object) -> VQVAE:
    torch.manual_seed(1)
    spec = DataSpec((1, 2, 4), 2, 2, condition=condition)
    sizes = {"num_codes": 3, "dim": 2, "hidden_channels": 4, "num_blocks": 1, "prior": PRIOR} | options
    model = VQVAE(spec, **sizes).eval()
    with torch.no_grad():
        for part in (model.encoder, model.decoder):
            for parameter in part.parameters():
                parameter.mul_(2.0)
        model.codebook.start(model.encode(WIDE).movedim(1, -1).flatten(0, -2))
        for parameter in model.prior.parameters() if model.prior else ():
            parameter.add_(0.5 * torch.randn(parameter.shape))
    return model


def joint(model: VQVAE, y: Tensor | None) -> Tensor:
    """log p(x|e) + log p(e|y), (256, 9)."""
    prior = model.prior.log_prob(PAIRS[:, None].to(torch.uint8), None if y is None else y.expand(9))
    columns = [model.likelihood_of_codes(code.expand(256, 1, 2)).log_prob(WIDE) for code in PAIRS]
    return torch.stack([column.flatten(1).sum(1) for column in columns], 1) + prior


@torch.no_grad()
@pytest.mark.parametrize("label", [0, 1, None])
def test_bound_and_samples_of_a_label_are_those_of_its_prior_on_codes(label: int | None) -> None:
    """Against all images and codes; the gap is -log p(e(x)|x, y). Without a label it is a learnt prior p(e)."""
    model = learnt() if label is not None else learnt(None, learn_prior=True)
    y = None if label is None else torch.tensor([label])
    table = joint(model, y)
    exact = table.logsumexp(1)
    assert exact.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    index = (model.codes(WIDE).flatten(1) * torch.tensor([3, 1])).sum(1)
    assert index.unique().numel() > 1
    bound = model.log_prob(WIDE, None if y is None else y.expand(256))
    posterior = (table - exact[:, None]).gather(1, index[:, None]).squeeze(1)
    torch.testing.assert_close(bound - exact, posterior, atol=1e-5, rtol=1e-5)
    torch.manual_seed(3)
    drawn = model.sample(40_000, None if y is None else y.expand(40_000)).flatten(1) * 2 ** torch.arange(7, -1, -1)
    expected = 40_000 * exact.exp()
    statistic = ((torch.bincount(drawn.sum(1), minlength=256) - expected).square() / expected).sum()
    assert abs(statistic - 255) < 5.0 * (2 * 255) ** 0.5  # chi-squared, 255 degrees of freedom
    if label is not None:
        assert (exact.exp() - joint(model, 1 - y).logsumexp(1).exp()).abs().sum() > 0.05, "labels make no difference"


def test_the_autoencoder_learns_the_same_with_a_prior_beside_it() -> None:
    """Bit by bit: the prior takes codes as they are, and encoder and decoder never see the label."""
    plain, model = learnt(None), learnt()
    y = torch.arange(256) % 2
    terms, labelled = plain.loss(Batch(WIDE)), model.loss(Batch(WIDE, y))
    codes = model.codes(WIDE)[:, None].to(torch.uint8)
    assert torch.equal(labelled["prior"], model.prior.loss(Batch(codes, y))["loss"])
    torch.testing.assert_close(labelled["loss"], terms["loss"] + labelled["prior"])
    for part in ("encoder", "decoder"):
        own = [list(getattr(each, part).parameters()) for each in (plain, model)]
        grads = [
            torch.autograd.grad(total["loss"], p, retain_graph=True)
            for total, p in zip((terms, labelled), own, strict=True)
        ]
        assert all(torch.equal(*pair) for pair in zip(*grads, strict=True))


@torch.no_grad()
def test_without_a_condition_codes_are_uniform_and_what_needs_a_prior_is_refused() -> None:
    model = learnt(None)
    codes = model.codes(WIDE)
    pixels = model.likelihood_of_codes(codes).log_prob(WIDE).flatten(1).sum(1)
    torch.testing.assert_close(model.log_prob(WIDE), pixels - 2.0 * math.log(3.0))
    for sampler in (Temperature(0.5), TopP()):
        with pytest.raises(
            ValueError, match=r"changes nothing where the codes are uniform; set model\.learn_prior=true"
        ):
            learnt(None, sampler=sampler)
    with pytest.raises(ValueError, match=r"model\.learn_prior=false: .* does not depend on data\.condition=label"):
        learnt(learn_prior=False)
    with pytest.raises(ValueError, match=r"model\.prior=null: expected the model of codes"):
        learnt(prior=None)
    with pytest.raises(ValueError, match=r"model\.prior: FlowMatching has no bound"):
        learnt(prior=partial(FlowMatching, net=NARROW))


@torch.no_grad()
def test_a_diffusion_stands_on_its_maps_without_a_likelihood() -> None:
    first = FirstStage(VQVAE(DataSpec((1, 8, 8), 17), num_codes=8, dim=3, hidden_channels=4), "vqvae")
    prior = lambda spec: DDPM(spec, num_steps=20, sampler=DDIM(nfe=4), net=NARROW)  # noqa: E731
    model = LatentDDPM(DataSpec((1, 8, 8), 17), prior, first).eval()
    assert first.code_shape == (3, 4, 4) and model.likelihood is Likelihood.NONE
    assert torch.isfinite(model.loss(Batch(torch.randint(17, (4, 1, 8, 8), dtype=torch.uint8)))["loss"])
    assert model.sample(2).shape == (2, 1, 8, 8)
