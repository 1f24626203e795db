"""Compression: files of images, coded with a model's probabilities and decoded to identical pixels.

`range_coding.py` codes with models that factorise (autoregressive ones), `bits_back.py` with latent-variable models,
`file.py` is the format, `pictures.py` measures PNG and WebP on the same images, `report.py` makes the record of a row.
`sounds.py` measures FLAC on sound, for which no model codes here.
The entropy coders are from `constriction` (Bamler 2022, arXiv 2201.01741), an optional dependency that only this folder
imports.
"""
