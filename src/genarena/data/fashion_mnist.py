"""Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747): clothes in MNIST's format and size."""

from genarena.data.mnist import MNIST


class FashionMNIST(MNIST):
    """The same split sizes as MNIST."""

    name = "fashion_mnist"
    folder = "FashionMNIST"
    md5 = {
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    }
