"""What needs no model of pictures from text: real pictures, captions that belong to others, copies of training pictures."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.data.captions.prompted import Prompt, Prompted
from genarena.tasks.base import Line
from genarena.tasks.composing.scores import Asked, scores

MOST = 200  # real pictures of a task
ROWS = 256  # prompts at once


def floors_of(data: Prompted, name: str, asked: Asked, seed: int) -> dict[str, Line]:
    """real: unseen real pictures under their own captions. shuffled captions: the same, under captions of others of the task.
    memoriser: for each prompt the training picture whose caption shares the most words. unconditional: training pictures,
    whatever is asked for, as a perfect model of p(x) would draw them."""
    pictures, prompts = some(*data.examples(name), asked.tasks, seed)
    own = Asked(prompts)
    drawn = torch.randint(
        data.train.size, (len(asked.prompts) * asked.num_images,), generator=seeded_generator(seed, "unconditional")
    )
    return {
        "real": Line(scores(data, own, pictures), is_real=True),
        "memoriser": Line(scores(data, asked, data.train.x[nearest(data, asked, seed)])),
        "unconditional": Line(
            scores(data, asked, data.train.x[drawn]), remark="training images: whatever is asked for"
        ),
        "shuffled captions": Line(
            scores(data, Asked(shuffled(prompts, seed)), pictures), remark="real images: with the captions of others"
        ),
    }


def some(pictures: Tensor, prompts: Sequence[Prompt], tasks: Sequence[str], seed: int) -> tuple[Tensor, list[Prompt]]:
    """At most `MOST` of each task, task by task."""
    rows = []
    for task in tasks:
        own = torch.tensor([row for row, prompt in enumerate(prompts) if prompt.task == task])
        rows.append(own[torch.randperm(len(own), generator=seeded_generator(seed, task))[:MOST]])
    chosen = torch.cat(rows)
    return pictures[chosen], [prompts[row] for row in chosen.tolist()]


def shuffled(prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    """Each prompt replaced by another one of its task, in turn; one that is alone keeps its own."""
    found = list(prompts)
    for task in dict.fromkeys(prompt.task for prompt in prompts):
        own = [row for row, prompt in enumerate(prompts) if prompt.task == task]
        order = torch.randperm(len(own), generator=seeded_generator(seed, task, "shuffled")).tolist()
        for place, row in enumerate(order):
            found[own[row]] = prompts[own[order[(place + 1) % len(order)]]]
    return found


def nearest(data: Prompted, asked: Asked, seed: int) -> Tensor:
    """(prompts * num_images,) rows of training pictures: those whose first caption is most like the prompt, by Jaccard's index
    of their words; ties in an order drawn with a fixed seed."""
    num = len(data.vocabulary().words)
    order = torch.randperm(data.train.size, generator=seeded_generator(seed, "memoriser"))
    train = _bags(data.train.captions[order, 0], num)
    wanted = _bags(data.encode([prompt.text for prompt in asked.prompts]), num)
    found = []
    for rows in wanted.split(ROWS):
        common = rows @ train.T
        index = common / (rows.sum(1, keepdim=True) + train.sum(1) - common)
        found.append(order[index.topk(min(asked.num_images, len(order)), dim=1).indices])
    return torch.cat(found).flatten()


def _bags(tokens: Tensor, num: int) -> Tensor:
    """(N, num) float32: which words a caption has."""
    bags = torch.zeros(len(tokens), num).scatter_(1, tokens, 1.0)
    bags[:, 0] = 0.0  # padding
    return bags
