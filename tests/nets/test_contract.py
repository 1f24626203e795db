"""Every network of `conf/net`, at a small size."""

import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import Tensor, nn

from genarena.build import build
from genarena.config import available, compose, file_of
from genarena.errors import UserError
from tests.capability_table import target
from tests.models.tiny import narrowed

NETWORKS = available("net")
CLASSES = [name for name in NETWORKS if "_target_" in file_of("net", name).read_text()]  # the others are sizes of these
IMAGES, SOUND = (2, 9, 6), (2, 40)


def own_shape(name: str) -> tuple[int, ...]:
    """Of what the network is made for."""
    return SOUND if getattr(get_object(target("net", name)), "takes_sound", False) else IMAGES


def make(
    name: str, shape: tuple[int, ...], context_features: int = 0, with_states: bool = False, **options: object
) -> nn.Module:
    """Three times as many channels go out as come in; all parameters are shaken, so that no layer is zero.

    options: those that the network has.
    """
    torch.manual_seed(0)
    node = OmegaConf.to_container(compose(["model=ddpm", "data=digits", f"net={name}"]).net, resolve=True)
    node = narrowed(node) | {key: value for key, value in options.items() if key in node}
    network = build(node, "net")(shape[0], 3 * shape[0], shape, context_features, with_states).double().eval()
    with torch.no_grad():  # from the same seed, whatever the options
        torch.manual_seed(1)
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def inputs(name: str, num: int = 2) -> tuple[Tensor, Tensor]:
    x = torch.randn(num, *own_shape(name), dtype=torch.float64)
    return x.requires_grad_(), torch.tensor([0.2, 0.7], dtype=torch.float64)[:num].requires_grad_()


@pytest.mark.parametrize("name", NETWORKS)
def test_output_depends_on_the_whole_example_on_time_and_on_the_context(name: str) -> None:
    network, (x, t) = make(name, own_shape(name), context_features=3), inputs(name)
    context = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    out = network(x, t, context)
    assert out.shape == (2, 6, *own_shape(name)[1:])
    places = out[0, 5].flatten()
    chosen = places[0] if own_shape(name) == IMAGES else places.sum()  # a place of sound reaches those near it
    gradients = torch.autograd.grad(chosen, (x, t, context))
    assert all((part[0] != 0).all() for part in gradients), "reached by everything of its own example"
    assert not any(part[1].any() for part in gradients), "and by nothing of another"


@pytest.mark.parametrize("name", CLASSES)
def test_output_depends_on_each_of_two_times(name: str) -> None:
    node = OmegaConf.to_container(compose(["model=ddpm", "data=digits", f"net={name}"]).net, resolve=True)
    torch.manual_seed(0)
    shape = own_shape(name)
    network = build(narrowed(node), "net")(shape[0], shape[0], shape, 0, False, 2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    times = torch.tensor([[0.2, 0.7], [0.7, 0.2]], requires_grad=True)
    x = torch.randn(1, *shape).expand(2, *shape)
    out = network(x, times)
    assert not torch.allclose(out[0], out[1]), "which is which"
    assert (torch.autograd.grad(out[0].sum(), times)[0] != 0).tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("name", NETWORKS)
def test_without_a_condition_it_is_called_without_a_context(name: str) -> None:
    network, (x, t) = make(name, own_shape(name)), inputs(name)
    assert torch.equal(network(x, t), network(x, t, None))


@pytest.mark.parametrize("name", CLASSES)
def test_with_the_math_backend_it_has_second_and_forward_derivatives(name: str) -> None:
    """In the input and in time, against finite differences along random directions."""
    shape = (1, 12) if own_shape(name) == SOUND else (1, 4, 3)
    network = make(name, shape, backend="math", time_scale=10.0)
    x = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, (x, t), check_forward_ad=True, fast_mode=True)

    def first(x: Tensor, t: Tensor) -> Tensor:
        return network(x, t)[0, 0].flatten()[4:6]

    assert torch.autograd.gradgradcheck(first, (x, t), fast_mode=True)


@pytest.mark.parametrize("name", [name for name in CLASSES if "time_scale:" in file_of("net", name).read_text()])
def test_time_scale_is_the_unit_of_time(name: str) -> None:
    x, _ = inputs(name)
    logarithms = torch.tensor([-1.5, 1.1], dtype=torch.float64)  # of noise levels: outside of [0, 1]
    other = make(name, own_shape(name), time_scale=16.0)(x, logarithms)
    torch.testing.assert_close(other, make(name, own_shape(name))(x, 0.016 * logarithms))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(5,), (1, 16), (1, 8, 8)])
def test_other_data_is_modelled_or_refused_by_name(name: str, shape: tuple[int, ...]) -> None:
    try:
        network = make(name, shape)
    except (ValueError, UserError) as error:
        assert str(shape) in str(error) and "\n" not in str(error)
        return
    out = network(torch.randn(2, *shape, dtype=torch.float64), torch.rand(2, dtype=torch.float64))
    assert out.shape == (2, 3 * shape[0], *shape[1:])
