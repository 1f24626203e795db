"""The two runs that speak together: a vocoder, and a model of mels from text. What does not fit is refused from their
configurations, before any weights are read."""

from dataclasses import dataclass
from pathlib import Path

from genarena.data.captions.characters import Characters
from genarena.errors import UserError
from genarena.models.base import GenerativeModel
from genarena.models.pronouncing import Pronounces
from genarena.runs import results, stored_config
from genarena.runs.folder import RunFolder
from genarena.tasks.task_run import finished
from genarena.tasks.vocoding.copies import require

NAMED = "mel_from_text"  # the model whose runs are looked for where none is named


@dataclass(frozen=True)
class TwoRuns:
    """vocoder, speaker: finished runs. characters: those that the speaker knows. sample_rate: of both."""

    vocoder: RunFolder
    speaker: RunFolder
    characters: Characters
    sample_rate: int


def two_runs(run: str, mel_run: str | None, sigma: float | None = None) -> TwoRuns:
    """The runs that were named; mel_run: None, the newest finished one of `mel_from_text` in the folder that `run` is in.

    Raises UserError, in one line, for a run that is not finished or failed, one that is no vocoder (`copies.require`, of sigma
    too), one that speaks no texts, and two of different sample rates.
    """
    vocoder, heard = _untrained(run, f"run={run}")
    require(heard, None if sigma is None else [sigma], 0.0)
    named = mel_run or str(_newest(vocoder.path, run))
    speaker, said = _untrained(named, f"mel_run={named}")
    if not isinstance(said, Pronounces):
        raise UserError(f"mel_run={named}: {type(said).__name__} makes no mel spectrograms of texts")
    rates = [model.spec.sample_rate for model in (heard, said)]
    if rates[0] != rates[1]:
        raise UserError(
            f"mel_run={named}: its mels are of {rates[1]:,} samples a second, and those of run={run} of {rates[0]:,}"
        )
    return TwoRuns(vocoder, speaker, Characters.of_condition(said.spec.condition), rates[0])


def _untrained(run: str, where: str) -> tuple[RunFolder, GenerativeModel]:
    """The folder of a finished run, and its model without weights."""
    try:
        folder = finished(run)[0]
        with folder.bounded():
            return folder, folder.untrained(stored_config.load(folder.config))
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


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
