"""Iris (Fisher 1936; UCI): sepals and petals of 149 flowers of three kinds, four columns in centimetres."""

from genarena.data.sklearn_table import SklearnTable


class Iris(SklearnTable):
    name = "iris"
    files = ("iris.csv",)
