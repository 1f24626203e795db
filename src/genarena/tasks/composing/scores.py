"""Shares of pictures that show what was asked for, task by task."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.captions.prompted import Prompt, Prompted
from genarena.statistics.intervals import t_quantile
from genarena.tasks.base import Record
from genarena.tasks.editing.records import missing, record

APART = ("size_attribution",)  # tasks that are no part of the overall mean: GenEval has six
OVERALL, LENIENT, UNREAD = "overall", "overall_lenient", "unread"
TITLES = {OVERALL: "overall", LENIENT: "overall, lenient", UNREAD: "unread parts"}


@dataclass(frozen=True)
class Asked:
    """Prompts, and how many pictures are drawn of each."""

    prompts: Sequence[Prompt]
    num_images: int = 1

    @property
    def checks(self) -> list:
        """Of each picture: prompt by prompt."""
        return [prompt.check for prompt in self.prompts for _ in range(self.num_images)]

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(prompt.task for prompt in self.prompts))

    def rows(self, task: str) -> Tensor:
        """Prompts of a task."""
        return torch.tensor([row for row, prompt in enumerate(self.prompts) if prompt.task == task])


def scores(data: Prompted, asked: Asked, pictures: Tensor) -> dict[str, Record]:
    """Of pictures (prompts * num_images, C, H, W), the first of each prompt in front."""
    strict, lenient = (per_prompt(data, asked, pictures, kind) for kind in (False, True))
    unread = data.unread(pictures).double()
    return {
        OVERALL: overall(asked, strict, TITLES[OVERALL]),
        **{task: _of_task(asked, strict, task) for task in asked.tasks},
        LENIENT: overall(asked, lenient, TITLES[LENIENT]),
        UNREAD: record(unread, TITLES[UNREAD], False),
    }


def _of_task(asked: Asked, shares: Tensor, task: str) -> Record:
    rows = asked.rows(task)
    counted = _counted([asked.prompts[row] for row in rows.tolist()])
    return record(shares[rows], task.replace("_", " "), True, counted=counted)


def _counted(prompts: Sequence[Prompt]) -> str:
    """What there are so many of; a list repeats its prompts where a task has fewer texts."""
    different = len({prompt.text for prompt in prompts})
    return "prompts" if different == len(prompts) else f"prompts, {different} of them different"


def per_prompt(data: Prompted, asked: Asked, pictures: Tensor, lenient: bool = False) -> Tensor:
    """(P,) share of the pictures of each prompt that show it."""
    return data.judge(pictures, asked.checks, lenient).double().view(-1, asked.num_images).mean(1)


def overall(asked: Asked, shares: Tensor, title: str) -> Record:
    """The mean over tasks of the mean over their prompts (GenEval, arXiv 2310.11513, sec. 3); the interval is over prompts."""
    prompts = [prompt for prompt in asked.prompts if prompt.task not in APART]
    parts, n = [shares[asked.rows(task)] for task in asked.tasks if task not in APART], len(prompts)
    value = sum(part.mean().item() for part in parts) / len(parts)
    variance = sum(part.var().item() / len(part) for part in parts if len(part) > 1) / len(parts) ** 2
    half = t_quantile(n - len(parts)) * variance**0.5 if n > len(parts) else None
    shared = {"n": n, "counted": _counted(prompts), "title": title, "higher_is_better": True}
    return {"value": value, "ci95_half_width": half, **shared}


def not_scored(asked: Asked, reason: str) -> dict[str, Record]:
    """Records without a value."""
    titles = {OVERALL: TITLES[OVERALL], **{task: task.replace("_", " ") for task in asked.tasks}}
    return {name: missing(title, reason, True) for name, title in titles.items()}
