"""Who is first, by how much, and may it be believed: the sentences above a table, and the networks and reasons below it."""

from pathlib import Path

import pytest

from genarena.leaderboard import page, reasons
from genarena.leaderboard.heads import heads
from genarena.leaderboard.networks import networks
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import Table, make_tables
from genarena.leaderboard.verdict import verdict
from tests.leaderboard.rows import make_row, write_rows


def table(tmp_path: Path, **values: tuple[float, ...]) -> Table:
    rows = [make_row(name, seed, value) for name, all_ in values.items() for seed, value in enumerate(all_)]
    for row in rows:
        row["metrics"]["fd_domain"] |= {"real": 0.5, "range": [0.0, None]}
    (found,) = make_tables(find_runs(write_rows(tmp_path, rows))[0])
    return found


def test_a_winner_is_named_with_the_difference_to_the_next(tmp_path: Path) -> None:
    found = table(tmp_path, a=(1.0, 1.1, 1.05), b=(2.0, 2.2, 2.1), c=(9.0, 9.4, 9.9))
    gap = next(line.gap for line in found.lines if line.name == "b")
    text = verdict(found)
    assert text.startswith("a is first by fd domain. Next is b, with 2.000 times the value of a (95% interval 1.")
    assert gap.value == pytest.approx(2.0, rel=1e-3) and gap.low < 2.0 < gap.high
    assert "Real data has 0.50" in text
    assert f'<p class="verdict">{text}</p>' in page.render([found], [])


def test_no_winner_is_made_up(tmp_path: Path) -> None:
    several = verdict(table(tmp_path / "several", a=(1.0, 1.2, 1.1), b=(1.1, 1.3, 1.25), c=(9.0, 9.4, 9.9)))
    assert several.startswith("Any of a and b may be first by fd domain: the seeds do not tell them apart.")
    assert "apart. The best value is that of a (1.10 ± " in several
    one = verdict(table(tmp_path / "one", a=(1.0,), b=(2.0,)))
    assert one.startswith("No line is ranked: it takes 3 training seeds (seed=0,1,2)") and "first" not in one
    assert "The best fd domain so far is that of a (1" in one
    alone = verdict(table(tmp_path / "alone", a=(1.0, 1.1, 1.2)))
    assert alone.startswith("a is the only line that can be ranked by fd domain.")


def test_a_tie_is_said_to_be_one(tmp_path: Path) -> None:
    assert ": too small to matter." in verdict(table(tmp_path, a=(1.0, 1.001, 1.002), b=(1.01, 1.011, 1.012)))


def test_the_accuracy_of_the_classifiers_stands_beside_their_distance(tmp_path: Path) -> None:
    found = {"name": "domain-classifiers-0be1ad21", "weights": "f584cb57", "classifiers": 4}
    row = make_row(value=6.0)
    row["metrics"]["fd_domain"] |= {
        "backbone": found | {"test_accuracy": 0.98681, "skill": 0.94408},
        "per_classifier": [5.5, 6.0, 6.0, 6.5],
    }
    row["metrics"]["recall"] = {"value": 0.5, "n": 10, "backbone": row["metrics"]["fd_domain"]["backbone"]}
    (made,) = make_tables(find_runs(write_rows(tmp_path, [row, make_row("glow")]))[0])
    heading = {head.column.key: head.features for head in heads(made)}
    assert heading["fd_domain"] == "domain classifiers, 98.7% right"
    assert heading["recall"] == "domain classifiers"
    (network,) = networks(made)
    assert network.columns == ["fd domain", "recall"]
    assert network.skill == (
        "4 networks, trained on the labels of this data; 98.7% of held-out images right; at least 94.4% of the mistakes of a "
        "guess (the most frequent class) avoided on validation"
    )
    assert network.spreads == {"fd domain": ["vae 5.500 to 6.500"]}
    html = page.render([made], [])
    assert "How the numbers were made" in html and network.skill in html and "98.7% right" in html


def test_real_data_and_n_are_those_of_the_models(tmp_path: Path) -> None:
    """Fewer images are held out than samples are drawn, and distances are larger among fewer."""
    rows = [make_row("vae", value=6.0), make_row("glow", value=5.0), make_row("heldout", value=1.0, family="baseline")]
    for row, n, real in zip(rows, (1000, 1000, 180), (0.98, 0.98, 2.24), strict=True):
        row["metrics"]["fd_domain"] |= {"n": n, "real": real}
    (made,) = make_tables(find_runs(write_rows(tmp_path, rows))[0])
    (head,) = [head for head in heads(made) if head.column.key == "fd_domain"]
    assert (head.n, head.usual_n, head.real) == ("1,000", 1000, 0.98)
    assert page.render([made], []).count("<small>n 180</small>") == 1


def test_a_reason_that_names_the_class_is_given_once_for_all_models(tmp_path: Path) -> None:
    rows = [make_row("dcgan"), make_row("injective_flow"), make_row("vae")]
    for row, name in zip(rows[:2], ("DCGAN", "InjectiveFlow"), strict=True):
        row["line"]["settings"]["model._target_"] = f"genarena.models.{name}"
        row["metrics"]["bits_per_dim"] = {"value": None, "reason": f"{name} has no likelihood"}
    (made,) = make_tables(find_runs(write_rows(tmp_path, rows))[0])
    (reason,) = [each for each in reasons.reasons(made) if "likelihood" in each.text]
    assert (reason.text, set(reason.lines)) == ("the model has no likelihood", {"dcgan", "injective_flow"})
    (rank,) = reasons.of_ranks(made)
    assert rank.columns == ("?",) and set(rank.lines) == {"dcgan", "injective_flow", "vae"}
