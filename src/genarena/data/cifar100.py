"""CIFAR-100 (Krizhevsky 2009): as CIFAR-10, with 100 classes (the fine labels)."""

from typing import ClassVar

from genarena.data.cifar10 import CIFAR10
from genarena.files.download import Published


class CIFAR100(CIFAR10):
    """The same split sizes as CIFAR-10."""

    name = "cifar100"
    inner = "cifar-100-python"
    label = "fine_labels"
    batches = (
        Published("train", "16019d7e3df5f24257cddd939b257f8d"),
        Published("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
    )
    rows: ClassVar[dict[str, int]] = {"train": 50_000, "test": 10_000}
    files = (
        Published(
            "cifar-100-python.tar.gz",
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            169_001_437,
        ),
    )
