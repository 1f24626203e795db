"""Monotonic alignment: the best of all alignments, by enumeration; durations and owners that agree."""

import itertools

import pytest
import torch

from genarena.statistics import alignment


def compositions(frames: int, letters: int) -> list[tuple[int, ...]]:
    """All durations of at least a frame each that add up to `frames`."""
    cuts = itertools.combinations(range(1, frames), letters - 1)
    return [tuple(b - a for a, b in itertools.pairwise((0, *cut, frames))) for cut in cuts]


def total(scores: torch.Tensor, durations: tuple[int, ...]) -> float:
    """Sum of the scores (L, T) on the way of these durations."""
    way = [letter for letter, length in enumerate(durations) for _ in range(length)]
    return sum(scores[letter, t].item() for t, letter in enumerate(way))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_best_of_all_alignments(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(4, 4, 9, generator=generator, dtype=torch.float64)
    letters, frames = torch.tensor([4, 1, 3, 4]), torch.tensor([9, 6, 8, 4])
    found = alignment.monotonic(scores, letters, frames)
    for row in range(4):
        every = compositions(int(frames[row]), int(letters[row]))
        best = max(every, key=lambda durations, row=row: total(scores[row], durations))
        assert found[row].tolist() == [*best, *[0] * (4 - len(best))]


def test_what_lies_behind_the_end_does_not_count() -> None:
    scores = torch.randn(1, 3, 7, generator=torch.Generator().manual_seed(0))
    wide = torch.full((1, 5, 11), 100.0)
    wide[:, :3, :7] = scores
    size = torch.tensor([3]), torch.tensor([7])
    assert alignment.monotonic(wide, *size)[0].tolist() == [*alignment.monotonic(scores, *size)[0].tolist(), 0, 0]


def test_a_flat_start_has_equal_durations_that_add_up() -> None:
    letters, frames = torch.tensor([3, 5, 1]), torch.tensor([10, 5, 8])
    found = alignment.equal(letters, frames, 6)
    assert found.tolist() == [[3, 3, 4, 0, 0, 0], [1, 1, 1, 1, 1, 0], [8, 0, 0, 0, 0, 0]]


def test_each_frame_has_an_owner_and_a_place_in_it() -> None:
    owner, before = alignment.owners(torch.tensor([[2, 1, 3], [1, 0, 0]]), 6)
    assert owner[0].tolist() == [0, 0, 1, 2, 2, 2] and before[0].tolist() == [0, 1, 0, 0, 1, 2]
    assert owner[1, 0] == 0 and before[1, 0] == 0


@pytest.mark.parametrize(
    ("letters", "frames", "said"), [(4, 3, "4 characters in 3 frames"), (0, 3, "without characters")]
)
def test_a_frame_is_needed_for_each_character(letters: int, frames: int, said: str) -> None:
    for search in (
        lambda *size: alignment.monotonic(torch.zeros(1, 4, 3), *size),
        lambda *size: alignment.equal(*size, 4),
    ):
        with pytest.raises(ValueError, match=said):
            search(torch.tensor([letters]), torch.tensor([frames]))
