"""A density on the plane: its integral, and whether samples follow it."""

import torch

from genarena.models.base import GenerativeModel

SIDE, STEP = 600, 0.05  # a grid that covers [-15, 15] in both dimensions


@torch.no_grad()
def check_density_on_the_plane(model: GenerativeModel) -> None:
    """The density of points (2,) integrates to 1, and the square [-2, 2]^2 has the same share of samples as of mass."""
    axis = STEP * (torch.arange(SIDE) - SIDE / 2 + 0.5)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    torch.manual_seed(0)
    density = model.log_prob(grid).exp() * STEP**2
    expected = density[(grid.abs() < 2.0).all(1)].sum()
    share = (model.sample(20_000).abs() < 2.0).all(1).float().mean()
    torch.testing.assert_close(density.sum(), torch.tensor(1.0), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(share, expected, atol=0.015, rtol=0.0)  # four standard errors
