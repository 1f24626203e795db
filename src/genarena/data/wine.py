"""Wine (Forina et al. 1988; UCI): 13 measurements of 178 wines of three growers."""

from genarena.data.sklearn_table import SklearnTable


class Wine(SklearnTable):
    name = "wine"
    files = ("wine_data.csv",)
