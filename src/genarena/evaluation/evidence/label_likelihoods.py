"""The model's log-likelihood of test examples under every label, not only their own."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable
from genarena.models.classifying import Classifies
from genarena.options.settings import Settings
from genarena.options.values import Count


@dataclass(frozen=True)
class LabelLikelihoodsSettings(Settings):
    """num_test: largest number of test examples, each of which takes a log-likelihood per label. at_most: of these
    log-likelihoods; where there are many labels, there are fewer test examples. draws: Monte-Carlo draws of a bound."""

    num_test: Count = 1_000
    at_most: Count = 50_000
    draws: Count = 1


class LabelLikelihoods(Kind):
    """log p(x | y) of each test example x and each label y. The draws of a bound are the same for all labels, so that they do
    not decide between them."""

    Settings = LabelLikelihoodsSettings

    @piece
    def label_log_prob(self) -> Tensor:
        """(N, K) float64 nats; of a model that is a classifier log p(y | x), which is log p(x | y) + log p(y) up to a constant
        of x. Raises Unavailable for a model without labels, and for another one without an exact likelihood or a bound."""
        model, split = self.subject.model, self.subject.test(self._num_test())
        if isinstance(model, Classifies):
            classes = lambda block: model.class_log_prob(split.x[block].to(model.device)).double()  # noqa: E731
            return torch.cat(self.subject.blocks(classes, self.subject.slices(split.size), "classes"))
        if model.likelihood not in (Likelihood.EXACT, Likelihood.LOWER_BOUND):
            raise Unavailable(
                f"{self.subject.model_name} has no likelihood of each label, exact or a bound (likelihood: "
                f"{model.likelihood.value})"
            )

        def values(block: slice) -> Tensor:
            x, seed = split.x[block].to(model.device), torch.initial_seed()
            return torch.stack([self._under(label, x, seed) for label in range(model.spec.condition.size)], 1)

        found = torch.cat(self.subject.blocks(values, self.subject.slices(split.size), "log-likelihood of every label"))
        self.subject.possible(found.gather(1, split.y[:, None]).squeeze(1), split)
        return found

    @piece
    def classifies(self) -> bool:
        """Whether the model is a classifier itself (`Classifies`), so that `label_log_prob` is log p(y | x)."""
        return isinstance(self.subject.model, Classifies)

    @piece
    def labels_looked_up(self) -> Tensor:
        """(N,) int64: the labels of these test examples."""
        return self.subject.test(self._num_test()).y

    def facts(self, piece: str) -> dict[str, Any]:
        if piece != "label_log_prob":
            return {}
        split = self.subject.split_name(self._num_test())
        if isinstance(self.subject.model, Classifies):
            return {
                "under": "every label",
                "split": split,
                "estimator": {"method": "p(y|x) of the model, a classifier"},
            }
        draws, estimator = self.settings.draws, self.subject.model.estimator(self.settings.draws)
        return {"under": "every label in turn", "split": split, "draws": draws, "estimator": estimator}

    def _under(self, label: int, x: Tensor, seed: int) -> Tensor:
        """(N,) float64 nats of x given one label, with the draws of `seed`."""
        torch.manual_seed(seed)
        y = torch.full((len(x),), label, device=x.device)
        return self.subject.model.log_prob(x, y, num_samples=self.settings.draws).double()

    def _num_test(self) -> int:
        """The number of test examples. Raises Unavailable for a model without labels."""
        condition = self.subject.data.spec.condition
        if condition is None or condition.kind != "label":
            raise Unavailable("needs a model that is conditional on labels (data.condition=label)")
        return min(self.settings.num_test, max(1, self.settings.at_most // condition.size))
