"""How a row is printed."""

from genarena.evaluation.row import metric_lines


def test_a_reason_that_several_metrics_share_is_printed_once() -> None:
    without = {"value": None, "reason": "trained without conditions"}
    records = {"fid": {"value": None, "reason": "no weights"}, "class_accuracy": without}
    records |= {"bits_per_dim": {"value": 1.25, "sign": "≤"}, "fd_domain_per_class": without}
    assert [line.strip() for line in metric_lines(records)] == [
        f"{'bits_per_dim':26s} ≤1.25",
        "no fid: no weights",
        "no class_accuracy, fd_domain_per_class: trained without conditions",
    ]
