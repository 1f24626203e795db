"""Couplings of vectors, which change one half of the dimensions and then the other."""

from genarena.models.flow.autoregressive import Reverse
from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import ActNorm
from genarena.models.flow.couplings import VectorNetwork
from genarena.models.flow.elementwise import Elementwise, ElementwiseCoupling


def vector_flow(
    num_dims: int, num_layers: int, hidden_features: int, elementwise: Elementwise, context_features: int = 0
) -> Chain:
    """Couplings on (D,) that change the second and the first half in turn. Raises ValueError below 2 dimensions."""
    if num_dims < 2:
        raise ValueError(f"couplings need at least 2 dimensions, and this data set has {num_dims}")
    kept, layers = num_dims // 2, list[Bijection]()
    for _ in range(num_layers):
        outputs = elementwise.num_parameters * (num_dims - kept)
        network = VectorNetwork(kept, hidden_features, outputs, context_features)
        layers += [ActNorm(num_dims), ElementwiseCoupling(network, elementwise), Reverse()]
    return Chain(*layers, ActNorm(num_dims))
