"""A small world of coloured shapes: how its scenes are arranged, drawn, described, and read from a picture.

A scene is 1 to 4 objects on a dark 32x32 picture. As numbers it is a row of `objects` (N, 4, 5) int64: shape, colour and size
as indices, then the column x and the row y of the centre; absent objects are -1.
"""
