"""Autoregressive models: the chain rule, one pixel after the other.

    log p(x) = sum_i log p(x_i | x_1, ..., x_{i-1})

The order is the raster scan: rows from the top, columns from the left, and the channels of a pixel last. One network
gives every factor at once, so a likelihood costs one pass and is exact; a sample costs one step per pixel.

Conventions.
- The input is shifted (`genarena.nets.masked`): at (r, c) the vertical stack starts from the image at (r-1, c), the
  horizontal stack from (r, c-1). Every layer after that may look at its own position, because what lies there is
  already strictly in the past. This is the mask "A" of the papers, without multiplying weights by zeros.
- The vertical stack sees all rows above, to both sides; the horizontal stack sees the pixels to the left. Together
  there is no blind spot.
- The network does not see the pixel that it predicts, so the channels of one pixel are chained in the head: channel k
  is predicted from the features and from channels 0 .. k-1 of the same pixel.
- A head returns a normalised distribution of `genarena.distributions`, so the masses of all images sum to one.
- `sample` caches what later pixels do not change: vertical features per row, horizontal features per pixel
  (`row_cache.py`). Noise is drawn pixel by pixel and channel by channel, so that the slow way, a full pass per pixel,
  gives the same images.

`pixelcnn_pp` has the same two streams at several sizes, and all channels of a pixel share one mixture component
(`chained_logistics.py`); after k halvings a layer finds something new at every 2^k-th row and column (`strided_cache.py`).

`image_gpt` has a causal transformer instead of these convolutions: its input is shifted by one token, a token is a level or a
small block of pixels (`tokens.py`), and what it caches are the keys and values of the tokens so far.
"""
