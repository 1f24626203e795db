"""Real examples in place of samples: what a perfect model would score with as many samples."""

from collections.abc import Callable

import torch
from torch import Tensor

from genarena.data.reading.lazy import Lazy
from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Fresh
from genarena.statistics.rows import finite_rows


class FreshExamples(Kind):
    """As many real examples as there are samples, none of which is in `real`: from the training split, else from the validation
    split, else from both. Which ones depends on the data set and on their number alone."""

    @piece
    def fresh(self, num_samples: int) -> Fresh:
        """The examples, or why there are none. A metric has a value without them, so nothing is raised."""
        pools = self._pools(num_samples)
        for source, pool in pools.items():
            if len(pool) >= num_samples:
                order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(1))[:num_samples]
                rows = Lazy(pool.index[order], pool.make) if isinstance(pool, Lazy) else pool[order]
                return Fresh(rows, source)
        there = ", ".join(f"{len(pool):,} in {source}" for source, pool in pools.items()) or "none"
        return Fresh(None, reason=f"needs {num_samples:,} real examples besides those of the metric; there are {there}")

    def _pools(self, num_samples: int) -> dict[str, Tensor | Lazy]:
        """Real examples that may be taken, by the name of their split."""
        data, used = self.subject.data, self.subject.settings.split
        pools = {"train": data.shown_beside_samples, "val": data.val.x if used != "val" else None}
        held_out = getattr(data, used).x
        pools = {name: pool for name, pool in pools.items() if pool is not None and pool is not held_out}
        if len(pools) == 2 and all(isinstance(pool, Tensor) for pool in pools.values()):
            total = sum(map(len, pools.values()))
            if max(map(len, pools.values())) < num_samples <= total:
                pools["train and val"] = torch.cat(list(pools.values()))
        return pools

    @piece
    def fresh_domain(self, fresh: Fresh) -> Fresh:
        """Features (N, num_classifiers * F) of the domain classifiers."""
        return self._seen_by("domain", fresh)

    @piece
    def fresh_classes(self, fresh_domain: Fresh) -> Fresh:
        """(N,) int64: the classes that the domain classifiers predict."""
        network = self.subject.networks["domain"]
        return _changed(fresh_domain, lambda rows: network.classes(finite_rows("fresh", rows)))

    @piece
    def fresh_inception(self, fresh: Fresh) -> Fresh:
        """(N, 2048)."""
        return self._seen_by("inception", fresh)

    @piece
    def fresh_dinov2(self, fresh: Fresh) -> Fresh:
        """(N, 1024)."""
        return self._seen_by("dinov2", fresh)

    @piece
    def fresh_clip(self, fresh: Fresh) -> Fresh:
        """(N, 1024)."""
        return self._seen_by("clip", fresh)

    @piece
    def fresh_efficientnet(self, fresh: Fresh) -> Fresh:
        """(N, 1280)."""
        return self._seen_by("efficientnet", fresh)

    @piece
    def fresh_features(self, fresh: Fresh) -> Fresh:
        """(N, F) in the space of `real_features`; vectors are their own features."""
        spec = self.subject.data.spec
        return self._seen_by(self.subject.settings.features.space_for(spec), fresh) if spec.is_image else fresh

    def _seen_by(self, network: str, fresh: Fresh) -> Fresh:
        return _changed(
            fresh, lambda rows: self.subject.networks.of_fresh_examples(network, rows, fresh.source.replace(" ", "-"))
        )


def _changed(fresh: Fresh, change: Callable[[Tensor], Tensor]) -> Fresh:
    return fresh if fresh.rows is None else fresh._replace(rows=change(fresh.rows))
