"""The standard deviation over a minibatch as a channel, by which a discriminator sees that a generator repeats itself.

Karras et al. 2018 (arXiv 1710.10196, sec. 3); in groups of examples as in StyleGAN2's code.
"""

import torch
from torch import Tensor, nn

DECAY = 0.99  # per batch, of the mean that takes the place of the statistic in eval mode


class MinibatchDeviation(nn.Module):
    """Features (N, C, H, W) to (N, C + 1, H, W): the last channel is what `deviations` gives, in groups of `group` examples.

    In training mode the scores of a batch depend on each other, so a batch has to be all real or all generated. In eval mode
    the channel is the running mean over the training batches of both kinds: an example is judged alone.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            found = deviations(x, self.group)
            self.mean.lerp_(found.detach().float().mean(), 1.0 - DECAY)
        else:
            found = self.mean.to(x.dtype).expand(len(x))
        return torch.cat([x, found[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)


def deviations(x: Tensor, group: int) -> Tensor:
    """mean_k sqrt(var_n x_nk + 1e-8) over the features k of x (N, ...), of the group of each example: (N,).

    Example n is in group n mod M, of M = max(1, N // group): each has `group` examples or more, all N if there are fewer.
    """
    num = max(1, len(x) // group)
    rows = torch.arange(len(x), device=x.device) % num
    member = (rows == torch.arange(num, device=x.device)[:, None]).to(x.dtype)
    average, flat = member / member.sum(1, keepdim=True), x.flatten(1)
    centred = flat - (average @ flat)[rows]
    return (average @ centred.square() + 1e-8).sqrt().mean(1)[rows]
