"""How several devices train one network: `Replicas`, where it fits on each of them."""

from pytorch_lightning.strategies import DDPStrategy


class Replicas(DDPStrategy):
    """Every rank holds the network and sees its share of each batch; `GenerativeModel.descend` averages the gradients.

    Torch's DistributedDataParallel is not used: it expects one forward and one backward pass per step of all parameters
    together, and gives every rank the buffers of rank 0. Two players in turn, chains in a replay buffer, moments that
    are accumulated in buffers and gradients inside a loss want neither. What is lost is that gradients travel while the
    rest of the backward pass runs; what is won with accumulation is that they travel once per step.
    """

    def configure_ddp(self) -> None:
        """The model stays as it is."""
