"""Diabetes (Efron et al. 2004, Least angle regression): ten measurements of 442 patients, and the progress of the
disease after a year as the target."""

from genarena.data.sklearn_table import SklearnTable


class Diabetes(SklearnTable):
    name = "diabetes"
    files = ("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz")
    skip = 0
    separator = None
