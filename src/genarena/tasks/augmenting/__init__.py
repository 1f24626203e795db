"""The protocol of augmentation: labelled fractions, labelled samples, classifiers of equal training, and their scores."""
