"""Pictures: what each code does when it alone is moved, and which factors it knows."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import seeded_generator
from genarena.data.ground_truth import sizes_of
from genarena.evaluation.figures import as_picture, figure
from genarena.models.base import GenerativeModel
from genarena.tasks.base import COLUMNS, Shown
from genarena.tasks.disentangling.codes import Coding, label_of
from genarena.tasks.disentangling.scores import Scored
from genarena.tasks.editing.codes import image_of
from genarena.tasks.editing.images import picture

STARTS = 3  # pictures of which the codes are moved in the moving picture
ENDS = 0.01, 0.99  # quantiles of a code over the grid, between which it is moved


def shown_codes(codes: np.ndarray) -> np.ndarray:
    """At most `COLUMNS` codes, those that move most, in their order."""
    return np.sort(np.argsort(-codes.std(0), kind="stable")[:COLUMNS])


def traversals(z: Tensor, codes: np.ndarray, chosen: Sequence[int]) -> Tensor:
    """(D', COLUMNS, D): the code z (D,), of which each chosen number in turn takes values between its `ENDS`."""
    moved = z.repeat(len(chosen), COLUMNS, 1)
    for row, code in enumerate(chosen):
        low, high = np.quantile(codes[:, code], ENDS)
        moved[row, :, code] = torch.linspace(float(low), float(high), COLUMNS)
    return moved


@torch.no_grad()
def moved(
    model: GenerativeModel, data: ArenaDataModule, coding: Coding, codes: np.ndarray, seed: int
) -> dict[str, Tensor]:
    """`traversals.png`: a row per code, of the picture in the middle of the grid. `traversals.gif`: a column per code, a row
    per picture."""
    sizes = torch.tensor(sizes_of(data.factor_sizes))
    generator = seeded_generator(seed, len(sizes), "traversals")
    others = (torch.rand(STARTS - 1, len(sizes), generator=generator) * sizes).long()
    starts = torch.cat([(sizes // 2)[None], others])
    chosen, frames = shown_codes(codes), []
    labels = None if model.spec.condition is None else label_of(data, starts)
    shape = model.encode(data.render(starts[:1]).to(model.device), *_given(model, labels, 1)).shape[1:]
    for number, z in enumerate(coding(data.render(starts), starts).float()):
        ways = traversals(z, codes, chosen.tolist()).flatten(0, 1)
        y = None if labels is None else labels[number].repeat(len(ways)).to(model.device)
        images = image_of(model, ways.unflatten(1, shape).to(model.device), y).cpu()
        frames.append(picture(images).unflatten(0, (len(chosen), COLUMNS)))
    blank = torch.zeros(COLUMNS - len(chosen), *frames[0].shape[1:], dtype=torch.uint8)
    steps = torch.stack([torch.cat([each, blank]) for each in frames]).flatten(0, 1).transpose(0, 1)
    return {"traversals.png": frames[0].flatten(0, 1), "traversals.gif": torch.cat([steps, steps[1:-1].flip(0)])}


def _given(model: GenerativeModel, labels: Tensor | None, num: int) -> tuple[Tensor, ...]:
    return () if labels is None else (labels[:num].to(model.device),)


def matrices(found: Scored, names: Sequence[str]) -> Tensor:
    """Information and importances of codes and factors, side by side: uint8 (1, 3, H, W)."""
    num = len(found.information)
    drawn = figure(2.4 + 1.1 * len(names), 1.6 + 0.26 * num)
    titles = "information / entropy of the factor", "importance in trees"
    for place, matrix, title in zip(drawn.subplots(1, 2), (found.information, found.importances), titles, strict=True):
        shown = place.imshow(matrix, vmin=0.0, vmax=max(1.0, float(matrix.max())), cmap="Blues", aspect="auto")
        place.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
        place.set_yticks(range(num), [str(code) for code in range(num)], fontsize=8)
        place.set_ylabel("code", fontsize=8)
        place.set_title(title, fontsize=9)
    drawn.colorbar(shown, ax=drawn.axes)
    return as_picture(drawn)


def seen(found: Scored, codes: np.ndarray, names: Sequence[str]) -> dict[str, Shown]:
    """What the pictures show. A row of the traversals is named by the factor that its code knows best, and how well."""
    rows = []
    for code in shown_codes(codes):
        best = int(found.information[code].argmax())
        rows.append(f"code {code}: {names[best]} {found.information[code, best]:.2f}")
    return {
        "traversals.png": Shown(tuple(rows), "one code is moved at a time; information on the factor it knows best"),
        "traversals.gif": Shown(text="a code per column is moved, of three pictures"),
        "matrices.png": Shown(text="which code knows which factor", is_plot=True),
    }
