"""Breast cancer, Wisconsin (Wolberg, Street & Mangasarian 1995; UCI): 30 measurements of 569 tumours,
malignant (0) or benign (1)."""

from genarena.data.sklearn_table import SklearnTable


class BreastCancer(SklearnTable):
    name = "breast_cancer"
    files = ("breast_cancer.csv",)
