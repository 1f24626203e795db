"""WaveFlow: rows depend on rows before them, and the flow is a bijection with the right determinant."""

import math

import pytest
import torch

from genarena.models.flow.waveflow import RowStep, WaveFlow, orders
from genarena.models.vocoding import in_chunks
from genarena.nets.wavenet_2d import GatedRows
from tests.models.test_waveglow import log_det_by_autograd, mels, noise, sound, started

NETS = {"num_layers": 2, "hidden_channels": 6, "skip_channels": 6, "context_channels": 5}


def waveflow(num_samples: int, condition: str | None = None, scale: float = 0.1, **options: int) -> WaveFlow:
    torch.manual_seed(0)
    return started(WaveFlow(sound(num_samples, condition), **(NETS | options)), scale)


def test_a_row_depends_on_the_rows_before_it() -> None:
    torch.manual_seed(0)
    net = GatedRows(1, 4, 3, num_layers=3, context_channels=2)
    x, context = torch.randn(1, 1, 6, 40, requires_grad=True), torch.randn(1, 2, 6, 40, requires_grad=True)
    to_x, to_context = torch.autograd.grad(net(x, context)[0, :, 3, 20].square().sum(), (x, context))
    assert to_x[0, 0].abs().sum(1).nonzero().flatten().tolist() == [0, 1, 2]
    assert to_context[0].abs().sum((0, 2)).nonzero().flatten().tolist() == [0, 1, 2, 3]
    places = to_x[0, 0].abs().sum(0).nonzero().flatten()
    assert (places.min(), places.max()) == (20 - net.reach, 20 + net.reach) and net.reach == 7


@torch.no_grad()
def test_rows_one_by_one_are_all_at_once() -> None:
    torch.manual_seed(0)
    net = GatedRows(1, 4, 3, num_layers=3, context_channels=2)
    x, context = torch.randn(2, 1, 5, 12), torch.randn(2, 2, 5, 12)
    whole, above = net(x, context), [None] * 3
    rows = torch.cat([torch.zeros(2, 1, 1, 12), x], 2)
    for row in range(5):
        one = net.advance(rows[:, :, row : row + 1], above, context[:, :, row : row + 1])
        torch.testing.assert_close(one[:, :, 0], whole[:, :, row])


def test_orders_of_the_rows() -> None:
    assert orders(4, 4) == [[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 2, 3], [1, 0, 3, 2]]


@torch.no_grad()
def test_rows_are_neighbours_in_time() -> None:
    step = RowStep(GatedRows(1, 2, 2, 1), 2, [3, 2, 1, 0])
    x = torch.arange(12.0).view(1, 1, 12)
    rows = step._rows(x)
    assert rows[0, 0].tolist() == [[3.0, 7.0, 11.0], [2.0, 6.0, 10.0], [1.0, 5.0, 9.0], [0.0, 4.0, 8.0]]
    assert torch.equal(step._sound(rows), x)


def test_log_det_against_autograd() -> None:
    model = waveflow(32, num_steps=3).double()
    u = torch.rand(2, 1, 32, dtype=torch.float64)
    torch.testing.assert_close(model.flow(u)[1], log_det_by_autograd(model, u), atol=1e-4, rtol=0.0)


@torch.no_grad()
@pytest.mark.parametrize("whitening", [0, 64])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_the_inverse_over_eight_steps(dtype: torch.dtype, bound: float, whitening: int) -> None:
    model = waveflow(1024, "mel", scale=0.03, num_steps=8, whitening=whitening).to(dtype)
    u, context = (noise(2, 1024).to(dtype) + 0.5) / 65_536, model.context(mels(2, 1024), 2).to(dtype)
    z, _ = model.flow(u, context)
    assert (model.flow.inverse(z, context) - u).abs().max() <= bound


@torch.no_grad()
def test_a_new_model_is_the_identity() -> None:
    torch.manual_seed(0)
    inner = WaveFlow(sound(2048)).eval().flow.bijections[1]
    x = torch.randn(4, 1, 2048)
    z, log_det = inner(x)
    assert torch.equal(z, x) and log_det.abs().max() == 0.0
    nats = 0.5 * z.square().mean() + 0.5 * math.log(2.0 * math.pi)
    assert nats.item() == pytest.approx(1.4189, abs=3 * 0.5**0.5 / 8192**0.5)


@torch.no_grad()
def test_chunks_are_the_whole() -> None:
    model = waveflow(512, "mel", num_steps=2)
    assert model.reach < 3 * 256
    mel, z = mels(1, 12 * 256), torch.randn(1, 1, 12 * 256)
    assert (in_chunks(model, mel, z, 3) - in_chunks(model, mel, z, 100)).abs().max() <= 1, "rounding"


@pytest.mark.parametrize("height", [3, 1024])
def test_a_height_that_does_not_fit_is_one_line(height: int) -> None:
    with pytest.raises(ValueError, match=f"height={height}: expected an even divisor of the 512 samples") as refused:
        WaveFlow(sound(512), height=height)
    assert "\n" not in str(refused.value)
