"""Sizes of a convolutional pyramid for images of any size."""


def pyramid(height: int, width: int, coarsest: int = 8) -> list[tuple[int, int]]:
    """Sizes from the image down, halved (rounded up) at least twice and until the smaller side is below `coarsest`.

    28x28 gives 28, 14, 7; 8x8 gives 8, 4, 2; 64x64 gives 64, 32, 16, 8, 4. Raises ValueError below 8x8.
    """
    if min(height, width) < 8:
        raise ValueError(f"image size {height}x{width}: each side must be at least 8")
    sizes = [(height, width)]
    while len(sizes) < 3 or min(sizes[-1]) >= coarsest:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes
