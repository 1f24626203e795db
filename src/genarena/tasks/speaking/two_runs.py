"""The two runs that speak together: a vocoder, and a model of mels from text. What does not fit is refused from their
configurations, before any weights are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genarena.build import build
from genarena.data.captions.characters import Characters
from genarena.errors import UserError
from genarena.models.pronouncing import Pronounces
from genarena.models.vocoding import Vocodes
from genarena.runs import results, stored_config
from genarena.runs.folder import RunFolder
from genarena.spec import Condition

NAMED = "mel_from_text"  # the model whose runs are looked for where none is named


@dataclass(frozen=True)
class TwoRuns:
    """vocoder, speaker: finished runs. characters: those that the speaker knows. sample_rate: of both."""

    vocoder: RunFolder
    speaker: RunFolder
    characters: Characters
    sample_rate: int


def two_runs(run: str, mel_run: str | None) -> TwoRuns:
    """The runs that were named; mel_run: None, the newest finished one of `mel_from_text` in the folder that `run` is in.

    Raises UserError, in one line, for a run that is no vocoder, one that speaks no texts, and two of different sample rates.
    """
    vocoder = RunFolder.open(run)
    heard = stored_config.load(vocoder.config)
    untrained = _built(vocoder, heard, f"run={run}")
    if not isinstance(untrained, Vocodes) or _kind(heard) != "mel":
        name = heard["choices"]["model"]
        raise UserError(f"run={run}: {name} is no vocoder that was trained with data.condition=mel")
    speaker = RunFolder.open(mel_run or _newest(vocoder.path, run))
    said = stored_config.load(speaker.config)
    model = _built(speaker, said, f"mel_run={speaker.path}")
    if not isinstance(model, Pronounces):
        raise UserError(f"mel_run={speaker.path}: {said['choices']['model']} makes no mel spectrograms of texts")
    rates = [int(cfg["data"]["spec"]["sample_rate"]) for cfg in (heard, said)]
    if rates[0] != rates[1]:
        raise UserError(
            f"mel_run={speaker.path}: its mels are of {rates[1]:,} samples a second, and those of run={run} of {rates[0]:,}"
        )
    return TwoRuns(vocoder, speaker, Characters.of_condition(model.spec.condition), rates[0])


def _built(folder: RunFolder, cfg: dict[str, Any], where: str) -> Any:
    """The untrained model of a run."""
    try:
        with folder.bounded():
            return build(cfg["model"], "model")
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _kind(cfg: dict[str, Any]) -> str | None:
    condition = cfg["data"]["spec"].get("condition")
    if isinstance(condition, Condition):
        return condition.kind
    return condition["kind"] if isinstance(condition, dict) else condition


def _newest(vocoder: Path, run: str) -> Path:
    """The newest finished run of `mel_from_text` in the `runs_dir` of the vocoder, which is three folders up."""
    found = [
        path for path in vocoder.resolve().parents[2].glob(f"*/{NAMED}/*") if results.is_finished(path / "result.json")
    ]
    if not found:
        raise UserError(
            f"mel_run=... is missing, and beside run={run} there is no finished run of {NAMED}: python train.py "
            f"model={NAMED} data=ljspeech_text data.condition=characters"
        )
    return max(found, key=lambda path: path.name)
