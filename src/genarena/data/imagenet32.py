"""ImageNet at 32x32, in the same two published downsamplings as `imagenet64`, with different data ids."""

from genarena.data.imagenet64 import ImageNet64


class ImageNet32(ImageNet64):
    """The files and splits of `ImageNet64`, in `<root>/imagenet32/<downsampling>`."""

    name = "imagenet32"
    size = 32
