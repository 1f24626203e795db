"""Values, standard errors and margins of records."""

import torch

from genarena.tasks.restoring.records import METRICS, Score, margin, ratio, record, root


def test_a_record_has_the_mean_and_its_standard_error_by_image() -> None:
    values = torch.rand(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = record("psnr", Score(values), 20)
    assert (found["n"], found["value"], found["unit"]) == (20, values.mean().item(), "dB")
    assert abs(found["standard_error"] - values.std().item() / 20**0.5) < 1e-12
    assert abs(found["ci95_half_width"] - 2.0930 * values.std().item() / 20**0.5) < 1e-4  # t quantile


def test_what_has_no_value_has_a_reason() -> None:
    exact = record("psnr", Score(torch.full((3,), torch.inf)), 3)
    assert exact["value"] is None and exact["reason"] == "3 of 3 images are restored exactly: infinite"
    few = record("crps", Score(reason="needs 2"), 3)
    assert few["value"] is None and few["reason"] == "needs 2" and few["title"] == "CRPS"


def test_a_metric_has_a_direction_or_a_target_or_neither() -> None:
    for facts in METRICS.values():
        assert not {"target", "higher_is_better"} <= set(facts)


def test_the_error_of_a_ratio_is_that_of_many_repetitions() -> None:
    generator = torch.Generator().manual_seed(0)
    below = 1 + torch.rand(1000, 100, generator=generator, dtype=torch.float64)
    above = 2 * below + torch.randn(1000, 100, generator=generator, dtype=torch.float64)
    for made in (ratio, lambda a, b: root(ratio(a, b))):
        found = [made(a, b) for a, b in zip(above, below, strict=True)]
        spread = torch.tensor([each.value for each in found]).std().item()
        claimed = sum(each.standard_error for each in found) / len(found)
        assert abs(claimed / spread - 1) < 0.09  # four standard errors
    assert ratio(above[0], torch.zeros(100)).reason


def test_the_margin_is_paired_and_over_the_best_in_the_direction_of_the_metric() -> None:
    base = torch.arange(10, dtype=torch.float64) ** 2  # images differ far more than methods do
    wobble = torch.tensor([0.5, -0.5] * 5, dtype=torch.float64)
    up = margin("psnr", Score(base + 2 + wobble), {"worse": Score(base - 9), "best": Score(base)})
    down = margin("crps", Score(base - 2 - wobble), {"worse": Score(base + 9), "best": Score(base)})
    for found in (up, down):
        assert found["over"] == "best" and abs(found["value"] - 2.0) < 1e-12
        assert abs(found["ci95_half_width"] - 2.2622 * (2.5 / 9) ** 0.5 / 10**0.5) < 1e-4
    assert margin("psnr", Score(base / 0.0), {"best": Score(base)}) is None
    assert margin("chi2", Score(base), {"best": Score(base)}) is None
    assert margin("psnr", Score(base), {}) is None
