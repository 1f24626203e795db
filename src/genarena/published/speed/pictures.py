"""Models of pictures against diffusers, torchcfm and x-transformers, with networks of the same sizes.

The references are installed by who wants the comparison: nothing of ours needs them.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.samplers import DDIM, DPMSolver
from genarena.nets.by_shape import unet_or_mlp
from genarena.published.speed.alternation import Pair, compared, step, still
from genarena.spec import Batch, DataSpec

BINARY, GREY = DataSpec((1, 28, 28), 2), DataSpec((1, 28, 28), 256)
STEPS = 20
NET = partial(unet_or_mlp, hidden_channels=32)


def image_gpt(num_rounds: int = 3, num_images: int = 16) -> str:
    """196 tokens of 2 x 2 binary pixels, 64 features, 4 blocks of 4 heads; x-transformers keeps keys and values too."""
    try:
        from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper
    except ImportError:
        return "image_gpt: needs the reference, `pip install x-transformers`"
    ours = ImageGPT(BINARY, hidden_channels=64, num_blocks=4, num_heads=4)
    layers = Decoder(dim=64, depth=4, heads=4, attn_dim_head=16, attn_flash=True)
    theirs = AutoregressiveWrapper(TransformerWrapper(num_tokens=17, max_seq_len=197, attn_layers=layers))
    x = torch.randint(2, (32, *BINARY.shape), dtype=torch.uint8)
    tokens = F.pad(ours.tokens.encode(x), (1, 0), value=16)  # their first token stands for ours
    start = torch.full((num_images, 1), 16)
    pairs = [
        Pair(
            "a training step on 32 images",
            step(ours, lambda: ours.loss(Batch(x))["loss"]),
            step(theirs, lambda: theirs(tokens), fused=False),
        ),
        Pair("log p of 32 images", still(ours, lambda: ours.log_prob(x)), still(theirs, lambda: theirs(tokens))),
        Pair(
            f"{num_images} samples",
            still(ours, lambda: ours.sample(num_images)),
            still(theirs, lambda: theirs.generate(start, 196)),
        ),
    ]
    again = Pair(f"{num_images} samples", pairs[2].ours, still(ours, lambda: _recomputed(ours, num_images)))
    return (
        compared("image_gpt", "x-transformers", pairs, num_rounds)
        + "\n"
        + compared("image_gpt", "recomputing", [again], num_rounds)
    )


def _recomputed(model: ImageGPT, num_images: int) -> Tensor:
    """Samples by a whole pass for each token."""
    tokens = torch.zeros(num_images, model.tokens.num_tokens, dtype=torch.long)
    for place in range(tokens.shape[1]):
        logits = model.logits(model.embedding(tokens))[:, place]
        tokens[:, place] = torch.multinomial(torch.softmax(logits, 1), 1)[:, 0]
    return tokens


def ddpm(num_rounds: int = 5) -> str:
    """The U-Net of the small configuration on both sides: what is around it is compared."""
    try:
        from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
    except ImportError:
        return "ddpm: needs the reference, `pip install diffusers`"
    ours = DDPM(GREY, schedule="linear", prediction="eps", variance="posterior", sampler=DDIM(nfe=STEPS), net=NET)
    chain, x = DDPMScheduler(1000), torch.randint(256, (32, *GREY.shape), dtype=torch.uint8)

    def loss() -> Tensor:
        x_0 = x / 127.5 - 1.0
        t, eps = torch.randint(1000, (32,)), torch.randn_like(x_0)
        return F.mse_loss(ours.network(chain.add_noise(x_0, eps, t), t / 1000), eps)

    def sampled(scheduler: object) -> Tensor:
        scheduler.set_timesteps(STEPS)
        z = torch.randn(16, *GREY.shape)
        for t in scheduler.timesteps:
            z = scheduler.step(ours.network(z, torch.full((16,), t / 1000)), t, z).prev_sample
        return z

    fast = DDPM(GREY, schedule="linear", prediction="eps", variance="posterior", sampler=DPMSolver(nfe=STEPS), net=NET)
    fast.load_state_dict(ours.state_dict())
    pairs = [
        Pair("a training step on 32 images", step(ours, lambda: ours.loss(Batch(x))["loss"]), step(ours, loss)),
        Pair(
            f"16 samples by DDIM in {STEPS} steps",
            still(ours, lambda: ours.sample(16)),
            still(ours, lambda: sampled(DDIMScheduler(1000))),
        ),
        Pair(
            f"16 samples by DPM-Solver++ in {STEPS} steps",
            still(fast, lambda: fast.sample(16)),
            still(ours, lambda: sampled(DPMSolverMultistepScheduler(1000))),
        ),
    ]
    return compared("ddpm", "diffusers", pairs, num_rounds)


def flow_matching(num_rounds: int = 5) -> str:
    """The U-Net of the small configuration on both sides; exact transport in batches of 64; Euler's method by torchdiffeq."""
    try:
        from torchcfm import ConditionalFlowMatcher, ExactOptimalTransportConditionalFlowMatcher
        from torchdiffeq import odeint
    except ImportError:
        return "flow_matching: needs the reference, `pip install torchcfm`"
    kinds = {"independent": ConditionalFlowMatcher, "optimal_transport": ExactOptimalTransportConditionalFlowMatcher}
    x, pairs = torch.randint(256, (64, *GREY.shape), dtype=torch.uint8), []
    for coupling, matcher in kinds.items():
        ours = FlowMatching(GREY, coupling=coupling, dequantisation="none", sampler=DDIM(nfe=STEPS), net=NET)
        loss = _loss_of(matcher(sigma=0.0), ours.network, x)
        pairs.append(
            Pair(
                f"a training step on 64 images, {coupling}",
                step(ours, lambda ours=ours: ours.loss(Batch(x))["loss"]),
                step(ours, loss),
            )
        )

    def sampled() -> Tensor:
        times, start = torch.linspace(1.0, 0.0, STEPS + 1), torch.randn(16, *GREY.shape)
        return odeint(lambda t, z: ours.network(z, t.expand(16)), start, times, method="euler")[-1]

    pairs.append(
        Pair(f"16 samples in {STEPS} steps of Euler", still(ours, lambda: ours.sample(16)), still(ours, sampled))
    )
    return compared("flow_matching", "torchcfm", pairs, num_rounds)


def _loss_of(matcher: object, network: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    def loss() -> Tensor:
        x_1 = x / 127.5 - 1.0
        t, x_t, u = matcher.sample_location_and_conditional_flow(torch.randn_like(x_1), x_1)
        return F.mse_loss(network(x_t, t), u)

    return loss
