"""genarena without command lines and run folders, for notebooks and other programs.

    from genarena import api

    vae = api.fit("vae", "digits", minutes=0.5)
    print(api.evaluate(vae.model, vae.data, ["bits_per_dim"]))
    pictures = api.sample(vae.model, 64)

Models and data sets are objects, or names of files in `conf/`; budgets are names. Training and evaluation are the same code as
in `train.py`: the same configuration gives the same weights and the same numbers.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from genarena import config
from genarena.build import build
from genarena.data.base import ArenaDataModule
from genarena.errors import UserError
from genarena.evaluation import evaluate as evaluation
from genarena.evaluation import memory, samplers
from genarena.evaluation.blocks import blocks_of
from genarena.evaluation.rescoring import load_data, rescore
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.validation_quality import sample_quality
from genarena.files.progress import Bars
from genarena.models.base import GenerativeModel
from genarena.options.overrides import in_grammar
from genarena.ranks import seeds
from genarena.run import prepare
from genarena.runs import classes, first_stage
from genarena.runs.folder import RunFolder, build_model
from genarena.spec import Condition
from genarena.training.fitting import Fitting, Observers, Plan
from genarena.training.trainer import check_model, num_processes, quiet

__all__ = ["EvaluationSettings", "Fitted", "evaluate", "fit", "load", "load_data", "rescore", "sample"]

# Parts of a configuration that `fit` reads
OPTIONS = ("model", "net", "sampler", "data", "budget", "trainer", "callbacks", "evidence", "seed", "metrics")

Model = GenerativeModel | str
Data = ArenaDataModule | str
Run = str | Path  # a run folder
Limit = float | None
Options = Mapping[str, Any] | None


@dataclass(frozen=True)
class Fitted:
    """A trained model and the cost of its training.

    model: in eval mode, with the weights that `weights` describes (e.g. "EMA 0.999, best val/bits_per_dim (at 80% of ...)").
    data: the data set, set up; `data.train`, `data.val` and `data.test` are its splits.
    cost: `examples_seen`; `train_seconds`, without validations; `peak_memory_mb`; `parameters`, their number.
    nonfinite: `skipped_steps`, for a non-finite loss or gradient; `learning_rate_scale`, the factor on it after rollbacks.
    """

    model: GenerativeModel
    data: ArenaDataModule
    weights: str
    cost: dict[str, Any]
    nonfinite: dict[str, Any]


def load(run: Run, device: str = "cpu", sampler: Options = None) -> GenerativeModel:
    """The model of a run folder, in eval mode, with the weights that were evaluated; for an unfinished run, the newest ones.

    sampler: another way to draw samples, e.g. {"sampler": "ddim", "sampler.nfe": 10}; its name, options of it, or both.

    A run folder may come from anybody: nothing in it is executed, and only sealed files of tensors are read. Raises
    UserError if there is no run, no weights or no such device; Untrusted for damaged files and for code in them.
    """
    cfg, model = RunFolder.open(run).rebuild(device)
    if sampler:
        samplers.use(model, samplers.chosen(cfg, sampler))
    return model


def fit(
    model: Model, data: Data, budget: str = "", minutes: Limit = None, examples: Limit = None, options: Options = None
) -> Fitted:
    """Train a model on a data set as `train.py` does, without a run folder (checkpoints are in a temporary one).

    model: a name of conf/model, or an untrained model, which is trained in place.
    data: a name of conf/data, or a data set, which has its own batch size and order of batches.
    budget: a name of conf/budget. minutes, examples: limits of training; the first one reached ends it. With a name they
        replace its limits. Default: cpu_1min.
    options: options of the command line, e.g. {"seed": 1, "model.latent_dim": 16, "trainer": "gpu"}.

    Weights are chosen as by `train.py`: with fd_domain among the metrics, as in most budgets, a model without bits/dim on
    validation is judged by it, and the data set's classifiers are trained first (minutes) where none are kept or shipped.
    options={"metrics": []} does without, and takes the last weights.

    The random state of torch does not change. Raises UserError for what the command line would refuse, Diverged if
    non-finite numbers remain after rollbacks.
    """
    quiet()
    limits = {"minutes": minutes, "examples": examples}
    resolved = _composed(model, data, [*_budget(budget, limits), *_texts(options or {}, model, data)])
    resolved = classes.resolved(resolved) if isinstance(data, str) else resolved
    with torch.random.fork_rng(list(range(torch.cuda.device_count()))):
        torch.manual_seed(resolved["seed"])
        if isinstance(model, str):
            samplers.check(resolved)
        data = build(resolved["data"], "data") if isinstance(data, str) else data
        model = build_model(first_stage.resolved(resolved)) if isinstance(model, str) else model
        _check_pair(model, data)
        if num_processes(resolved["trainer"]) > 1:
            raise UserError("fit trains in one process: for several, python train.py trainer=ddp")
        check_model(resolved["trainer"], model)
        prepare(model, data)
        return _trained(model, data, resolved)


def evaluate(
    model: GenerativeModel,
    data: Data,
    metrics: list[str],
    options: Options = None,
    settings: EvaluationSettings | None = None,
    run_seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Measure metrics of a model, in eval mode, on the test split of a data set.

    data: a name of conf/data, or a data set. metrics: names of the files in genarena/metrics.
    options: of evidence and of single metrics, e.g. {"evidence.samples.num_samples": 500, "metric.fid.num_samples": 50000}.
    settings: the split, the seed of sampling and the networks. run_seed: of the training; samples depend on it too.

    Returns a record per metric: `value`, `unit`, `n` and more, or `value` None and the `reason`. Raises ValueError for a
    model in training mode, UserError for a metric or an option that does not exist, or data of another shape than the model's.
    """
    data = build(_composed("uniform", data, [])["data"], "data") if isinstance(data, str) else data
    data.setup()
    _check_pair(model, data)
    settings = settings or EvaluationSettings()
    return evaluation.evaluate(model, data, metrics, settings, options, run_seed, progress=False).metrics


def sample(
    model: GenerativeModel | Run, num_samples: int, y: Tensor | None = None, seed: int = 0, progress: bool = False
) -> Tensor:
    """Samples (num_samples, *shape) in the space of the data (uint8 levels, or floats), on the CPU.

    model: in eval mode, or a run folder. y: conditions (num_samples, ...) of a conditional model; default: all labels (or
    attributes) in turn; of captions there is none: `Vocabulary.of_condition(model.spec.condition).encode(text)`. The same
    seed gives the same samples; the random state of torch does not change. Raises UserError if `num_samples` is not positive,
    or `y` does not fit the model.
    """
    model = model if isinstance(model, GenerativeModel) else load(model)
    if num_samples < 1:
        raise UserError(f"num_samples={num_samples}: expected at least 1")
    y = _conditions(model, num_samples, y)
    parts = []
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), Bars(progress) as bars:
        for block, part in enumerate(bars.track(blocks_of(num_samples, model.spec), "samples")):
            torch.manual_seed(seeds.derived(0, seed, block))  # as in the evaluation of a run with this seed
            own = None if y is None else y[part].to(model.device)
            parts.append(model.sample(part.stop - part.start, own).cpu())
    return torch.cat(parts)


def _conditions(model: GenerativeModel, num_samples: int, y: Tensor | None) -> Tensor | None:
    condition = model.spec.condition
    try:
        if condition is None and y is not None:
            raise ValueError(f"y: {type(model).__name__} was trained without conditions")
        if y is not None:
            condition.check(y, num_samples)
        return condition.in_turn(num_samples) if condition and y is None else y
    except ValueError as error:
        raise UserError(str(error)) from error


def _composed(model: Model, data: Data, options: list[str]) -> dict[str, Any]:
    """The checked configuration. In place of an object, the name of another model or data set stands; it is not built."""
    names = [
        f"model={model if isinstance(model, str) else 'uniform'}",
        f"data={data if isinstance(data, str) else 'digits'}",
    ]
    if isinstance(model, GenerativeModel):
        names += [f"data.batch_size={model.settings.batch_size}"]
    checked = config.check([*names, *options])
    if isinstance(data, ArenaDataModule):
        spec = asdict(data.spec) | {"shape": list(data.spec.shape), "condition": _word(data.spec.condition)}
        checked += [f"++data.spec.{name}={in_grammar(value)}" for name, value in spec.items()]
    return OmegaConf.to_container(config.compose(checked), resolve=True)


def _budget(name: str, limits: dict[str, Limit]) -> list[str]:
    given = {key: limit for key, limit in limits.items() if limit is not None}
    replaced = given if name or not given else limits
    return [f"budget={name or 'cpu_1min'}", *(f"budget.{key}={in_grammar(limit)}" for key, limit in replaced.items())]


def _texts(options: Mapping[str, Any], model: Model, data: Data) -> list[str]:
    """`key=value` for each option. Raises UserError for an option that `fit` does not read."""
    for key in options:
        group = key.split(".")[0]
        if group not in OPTIONS:
            raise UserError(f"{key}: fit has no such option; it reads {', '.join(OPTIONS)}")
        if not isinstance({"model": model, "data": data}.get(group, ""), str):
            raise UserError(f"{key}: the {group} is an object, which has its options already")
    return [
        f"callbacks.progress={in_grammar(False)}",
        *(f"{key}={in_grammar(value)}" for key, value in options.items()),
    ]


def _word(condition: Condition | None) -> Any:
    """A condition as its YAML says it."""
    if condition is None or condition.kind in ("label", "attributes"):
        return condition and condition.kind
    return {"_target_": "genarena.spec.Condition", **asdict(condition)}


def _check_pair(model: GenerativeModel, data: ArenaDataModule) -> None:
    """Raise UserError unless the model was made for such data. Labels that the model is not conditional on do not matter."""
    for part in ("shape", "num_levels", "condition"):
        if (made_for := getattr(model.spec, part)) != (found := getattr(data.spec, part)):
            raise UserError(f"the model was made for data with {part}={made_for}, and the data has {part}={found}")


def _trained(model: GenerativeModel, data: ArenaDataModule, resolved: dict[str, Any]) -> Fitted:
    if model.batches_seen:
        raise UserError(f"{type(model).__name__} has been trained already: fit takes a new model")
    settings, peak = build(resolved["evaluation"], "evaluation"), memory.Peak(model)
    with tempfile.TemporaryDirectory(prefix="genarena-") as folder:
        quality = sample_quality(resolved, data, settings)
        observers = Observers(f"{type(model).__name__} on {data.name}", quality=quality)
        fitting = Fitting(model, data, Plan.of(resolved), Path(folder, "checkpoints"), observers)
        fitting.fit()
        model, weights = fitting.choose()
    model.trainer = data.trainer = None  # so that the module can be copied
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Fitted(model, data, weights, fitting.cost | peak.facts | {"parameters": parameters}, fitting.nonfinite)
