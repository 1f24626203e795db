"""What codes of a model are worth to a classifier: probes, their floors and ceiling, the choice of a layer, pictures."""
