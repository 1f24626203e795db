"""An id of a protocol changes with everything that changes the number of its metric, and with nothing else."""

import ast
import dataclasses
import json
from collections.abc import Iterator
from functools import cache
from typing import get_args, get_type_hints

import pytest

from genarena.errors import UserError
from genarena.evaluation import code, features, syntax
from genarena.evaluation.asked import asked, load_metric, needed
from genarena.evaluation.evidence.base import kind_of, kinds, used
from genarena.evaluation.protocol import protocol
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.weights import PUBLISHED, FeatureSettings
from genarena.metrics import names
from genarena.spec import DataSpec
from tests.small_world import OPTIONS, SETTINGS, SPEC, Halves

TEXTS = code.text_of  # the genuine one


def ids(metrics: list[str] | None = None, settings=SETTINGS, options=OPTIONS, data=None) -> dict[str, str]:
    return {
        name: rules["id"] for name, rules in protocol(metrics or names(), settings, options, data)["metrics"].items()
    }


@cache
def usual() -> dict[str, str]:
    """The ids of the genuine source; call it before anything is replaced."""
    assert code.text_of is TEXTS
    return ids()


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def constants(module: str) -> Iterator[tuple[str, ast.Constant]]:
    """Name and node of every number that an UPPERCASE name, or a member of a class that is not only shown, stands for."""
    tree = ast.parse(TEXTS(module))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not syntax.is_settings(node)]
    for owner in (tree, *classes):
        for node in owner.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            (name, *_) = syntax.defined(node)
            if name.endswith("_AT_ONCE") or name in syntax.ONLY_SHOWN or (owner is tree and not name.isupper()):
                continue
            for part in ast.walk(node.value):
                if (
                    isinstance(part, ast.Constant)
                    and isinstance(part.value, int | float)
                    and not isinstance(part.value, bool)
                ):
                    yield name, part


def edited(module: str, node: ast.Constant) -> str:
    """The module's source with another number in this place."""
    lines = TEXTS(module).splitlines(keepends=True)
    line = lines[node.lineno - 1].encode()
    number = repr(node.value * 2 + 1).encode()
    lines[node.lineno - 1] = (line[: node.col_offset] + number + line[node.end_col_offset :]).decode()
    return "".join(lines)


def with_source(monkeypatch: pytest.MonkeyPatch, module: str, text: str) -> None:
    monkeypatch.setattr(code, "text_of", lambda name: text if name == module else TEXTS(name))


@cache
def users(module: str) -> frozenset[str]:
    """The metrics that use a kind of evidence, or are in the module."""
    of = {name: load_metric(name) for name in names()}
    return frozenset(
        name
        for name, metric in of.items()
        if module in {metric.__module__, *(kind.__module__ for kind in used(needed(metric)))}
    )


FRECHET = {"fid", "fid_infinity", "fd_domain", "fd_domain_per_class", "fd_dinov2", "fd_clip", "fd_efficientnet"}
MODULES = sorted({load_metric(name).__module__ for name in names()} | {kind.__module__ for kind in kinds()})
CONSTANTS = [(module, name, node) for module in MODULES for name, node in constants(module)]


@pytest.mark.parametrize(
    ("module", "name", "node"), CONSTANTS, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_every_constant_of_a_metric_and_of_a_kind_of_evidence_counts(
    module: str, name: str, node: ast.Constant, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = usual()
    with_source(monkeypatch, module, edited(module, node))
    assert changed(before, ids()) == users(module), name


def test_there_are_constants_to_edit() -> None:
    found = {f"{module.rpartition('.')[2]}.{name}" for module, name, _ in CONSTANTS}
    assert {
        "c_t.FEWEST",
        "class_histogram_kl.SMOOTHING",
        "nearest_neighbour_ratio.CLOSE",
    } <= found
    assert {"inception_score.SPLITS", "fid_infinity.SMALLEST", "probability_flow.BATCH", "fid.min_examples"} <= found


@pytest.mark.parametrize("name", names())
def test_comments_docstrings_headings_and_annotations_do_not_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_metric(name).__module__
    tree = ast.parse(TEXTS(module))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0].value.value = "Another text."
        if isinstance(node, ast.Assign) and syntax.defined(node) == ["title"]:
            node.value = ast.Constant("another")
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = [ast.Constant("another reason")]
    text = "# a comment\n" + ast.unparse(tree)
    assert text != TEXTS(module)
    before = usual()
    with_source(monkeypatch, module, text)
    assert ids() == before


@pytest.mark.parametrize(
    ("module", "old", "new", "metrics"),
    [
        ("statistics.cells", "n_init=STARTS", "n_init=1", {"c_t"}),
        ("statistics.frechet", "_influences", None, FRECHET),
        ("statistics.kernel", ".pow_(3)", ".pow_(2)", {"kid", "kd_domain"}),
        ("evaluation.decoder_likelihood", "LEAPFROG_STEPS = 5", "LEAPFROG_STEPS = 6", {"ais_nll_nats"}),
    ],
)
def test_code_that_a_metric_uses_counts_and_other_code_does_not(
    module: str, old: str, new: str | None, metrics: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"genarena.{module}"
    text = TEXTS(module)
    if new is None:  # another first line in the body of a function
        tree = ast.parse(text)
        (function,) = (node for node in tree.body if getattr(node, "name", "") == old)
        function.body.insert(1, ast.parse("another = 1").body[0])
        new_text = ast.unparse(tree)
    else:
        new_text = text.replace(old, new)
    assert new_text != text
    before = usual()
    with_source(monkeypatch, module, new_text)
    assert changed(before, ids()) == metrics


def test_a_new_class_beside_the_others_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = usual()
    for module in ("genarena.metrics.base", "genarena.statistics.neighbours", "genarena.likelihood"):
        with_source(monkeypatch, module, TEXTS(module) + "\n\nclass Another:\n    SIZE = 3\n")
        assert ids() == before


def test_the_subject_counts_by_its_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Subject.test` chooses the test examples; `blocks` gives each draw its seed."""
    module = "genarena.evaluation.subject"
    assert "manual_seed(0)" in TEXTS(module) and "derived(*self.seeds" in TEXTS(module)
    before = usual()
    with_source(monkeypatch, module, TEXTS(module).replace("manual_seed(0)", "manual_seed(1)"))
    assert {"bits_per_dim", "fid", "iw_bounds"} <= changed(before, ids())
    assert not changed(before, ids()) & {"sampling_seconds"}
    with_source(monkeypatch, module, TEXTS(module).replace("derived(*self.seeds", "derived(7, *self.seeds"))
    assert {"fid", "sampling_seconds", "bits_per_dim", "iw_bounds"} <= changed(before, ids())
    assert "ais_nll_nats" not in changed(before, ids())


@pytest.mark.parametrize(
    "options",
    [
        {"evidence.examples.num_test": 1000},  # 200 of 200 test images either way
        {"metric.fid.num_test": 201},
        {"evidence.samples.conditions": "prompted"},  # nothing has conditions, if the data is not known
    ],
    ids=str,
)
def test_what_changes_no_number_splits_nothing(options: dict) -> None:
    data = known() if "evidence.samples.conditions" not in options else None
    assert ids(data=data) == ids(data=data, options=OPTIONS | options)
    assert ids(data=data) == ids(data=data, settings=EvaluationSettings(sample_seed=7))


def test_one_metric_more_or_fewer_splits_nothing() -> None:
    assert ids(["recall"])["recall"] == ids()["recall"]
    assert protocol(["recall", "fid"], SETTINGS) == protocol(["fid", "recall", "recall"], SETTINGS)


def known(spec: DataSpec = SPEC) -> Halves:
    data = Halves(spec)
    data.setup()
    return data


def test_options_count_where_they_are_used() -> None:
    data = known()
    before = ids(data=data)

    def moved(**options: object) -> set[str]:
        return changed(
            before, ids(data=data, options=OPTIONS | {name.replace("__", "."): v for name, v in options.items()})
        )

    fewer = moved(evidence__samples__num_samples=70)
    assert {"fid", "recall", "sampling_seconds", "vendi", "c_t"} <= fewer
    assert not fewer & {"bits_per_dim", "nll_nats", "iw_nll_nats", "ais_nll_nats", "ode_nll_nats"}
    fewer = moved(evidence__examples__num_test=70)
    assert {"fid", "bits_per_dim", "recall", "nearest_neighbour_ratio", "energy_distance"} <= fewer
    assert not fewer & {"iw_nll_nats", "ais_nll_nats", "ode_bits_per_dim", "sampling_seconds", "inception_score"}
    assert moved(metric__iw_nll_nats__draws=7) == moved(evidence__importance_weighted__draws=7) == {"iw_nll_nats"}
    assert moved(metric__fid__num_samples=70) == moved(metric__fid__num_test=70) == {"fid"}
    assert moved(metric__iw_nll_nats__num_test=200) == moved(metric__iw_nll_nats__num_test=5000) == {"iw_nll_nats"}
    whole, more = ({"metric.iw_nll_nats.num_test": limit} for limit in (200, 5000))
    assert ids(["iw_nll_nats"], data=data, options=whole) == ids(["iw_nll_nats"], data=data, options=more)
    assert changed(before, ids(data=data, settings=EvaluationSettings(split="val"))) == set(names())


def test_a_metric_with_its_own_value_has_the_id_of_all_with_that_value() -> None:
    """However it was asked for, columns join."""
    data = known()
    for option in ("examples.num_test", "samples.num_samples"):
        every = ids(data=data, options=OPTIONS | {f"evidence.{option}": 70})
        own = {f"metric.fid.{option.partition('.')[2]}": 70}
        assert ids(data=data, options=OPTIONS | own)["fid"] == every["fid"] != ids(data=data)["fid"]


def test_conditions_count_for_samples_of_conditional_models() -> None:
    data = known(dataclasses.replace(SPEC, condition="label"))
    prompted = OPTIONS | {"evidence.samples.conditions": "prompted"}
    found = changed(ids(data=data), ids(data=data, options=prompted))
    assert {"recall", "class_accuracy"} <= found and not found & {"bits_per_dim", "nll_nats"}


@pytest.mark.parametrize("name", names())
def test_an_option_of_a_metric_has_one_meaning(name: str) -> None:
    chosen = asked([name])[name]
    options = [field.name for part in (chosen.own, *chosen.evidence.values()) for field in dataclasses.fields(part)]
    assert len(options) == len(set(options))


def test_libraries_count_where_they_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    before = protocol(names(), SETTINGS)["metrics"]
    assert set(before["c_t"]["libraries"]) == {"scikit-learn"}
    assert set(before["fid"]["libraries"]) == {"torch-fidelity"}
    assert {"timm", "pillow"} <= set(before["fd_dinov2"]["libraries"])
    assert before["bits_per_dim"]["libraries"] == before["fd_domain"]["libraries"] == {}
    genuine = code.version
    of = {
        "scikit-learn": {"c_t", "c2st"},
        "torch-fidelity": {"fid", "fid_infinity", "kid", "inception_score"},
        "torchmetrics": set(),
    }
    for library, metrics in of.items():
        monkeypatch.setattr(code, "version", lambda name, new=library: "99" if name == new else genuine(name))
        after = ids(options={})
        assert changed({name: rules["id"] for name, rules in before.items()}, after) == metrics, library


def test_networks_count_where_metrics_look_through_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = protocol(names(), SETTINGS)["metrics"]
    assert rules["fid"]["networks"] == {"inception": PUBLISHED["inception"].sha256}
    assert set(rules["recall"]["networks"]) == {"domain"} and rules["nearest_neighbour_ratio"]["networks"] == {}
    in_clip = dataclasses.replace(SETTINGS, features=FeatureSettings(space="clip"))
    moved = changed(usual(), ids(settings=in_clip))
    assert {"recall", "precision", "vendi", "c_t", "authpct"} <= moved and not moved & {
        "fid",
        "fd_domain",
        "bits_per_dim",
    }
    before = usual()
    monkeypatch.setitem(features.RECIPE, "seed", 1)
    assert {"fd_domain", "recall", "class_histogram_kl"} <= changed(before, ids())
    assert not changed(before, ids()) & {"fid", "bits_per_dim", "nearest_neighbour_ratio"}


def test_the_architecture_of_the_domain_classifier_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before, module = usual(), "genarena.evaluation.classifier"
    with_source(monkeypatch, module, TEXTS(module).replace("nn.ReLU()", "nn.SiLU()"))
    assert {"fd_domain", "recall", "class_accuracy"} <= changed(before, ids())
    assert not changed(before, ids()) & {"fid", "bits_per_dim"}


def test_vectors_are_their_own_features() -> None:
    class Vectors(Halves):
        pass

    data = Vectors(SPEC)
    data.setup()
    data.spec = DataSpec((2,))
    rules = protocol(["recall"], SETTINGS, data=data)["metrics"]["recall"]
    assert rules["networks"] == {}
    in_clip = dataclasses.replace(SETTINGS, features=FeatureSettings(space="clip"))
    assert ids(["recall"], data=data) == ids(["recall"], settings=in_clip, data=data)


def test_what_a_piece_asks_for_depends_on_nothing_more() -> None:
    """`asks` is not in the key under which a piece is kept: its options have to be those of the piece itself."""
    for name, kind in kind_of().items():
        for space in get_args(get_type_hints(FeatureSettings)["space"]):
            settings = EvaluationSettings(features=FeatureSettings(space=space))
            for other in kind.asks(name, settings, SPEC):
                assert {each for each in used([other]) if each.Settings} <= set(used([name])), (name, other)


def test_it_is_json_and_a_typo_is_refused() -> None:
    json.dumps(protocol(names(), SETTINGS, OPTIONS), allow_nan=False)
    with pytest.raises(UserError, match="did you mean recall"):
        protocol(["recal"], SETTINGS)
