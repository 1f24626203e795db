"""Labels of test examples, and real examples of the labels that samples were asked for."""

import torch
from torch import Tensor

from genarena.data.batches import Split, seeded_generator
from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Fresh, Unavailable


class Labels(Kind):
    """For models that are conditional on labels."""

    @piece
    def test_labels(self, test: Split) -> Tensor:
        """(N,) int64: the labels of the test examples."""
        condition = self.subject.data.spec.condition
        if condition is None or condition.kind != "label":
            raise Unavailable("needs a model that is conditional on labels (data.condition=label)")
        return test.y

    @piece
    def fresh_of_labels(self, conditions: Tensor) -> Fresh:
        """Features (N, num_classifiers * F) of training examples in place of samples, one of the label of each sample, no
        example twice; without rows if a label has too few."""
        data = self.subject.data
        if data.shown_beside_samples is None:
            return Fresh(None, reason=f"the training examples of {data.name} are too many to look through")
        index, train = torch.empty_like(conditions), data.train
        for label in conditions.unique().tolist():
            wanted, own = (conditions == label).nonzero().flatten(), (train.y == label).nonzero().flatten()
            if len(own) < len(wanted):
                return Fresh(
                    None, reason=f"needs {len(wanted):,} training examples of label {label}; there are {len(own):,}"
                )
            order = torch.randperm(len(own), generator=seeded_generator(label, len(own)))
            index[wanted] = own[order[: len(wanted)]]
        return Fresh(self.subject.networks.of_samples("domain", train.x[index]), "train")
