import torch

from genarena.models.baseline.memoriser import Memoriser
from genarena.spec import Batch, DataSpec


def numbered(num: int) -> torch.Tensor:
    """Vectors that say their own number, so that a copy can be traced."""
    return torch.arange(num, dtype=torch.float32).view(-1, 1)


def test_everything_is_kept_while_there_is_room_and_samples_are_copies():
    model, data = Memoriser(DataSpec((1,)), capacity=100), numbered(60)
    for part in data.split(25):
        model.observe(Batch(part))
    model.loss(Batch(data - 1000))  # a loss remembers nothing
    assert torch.equal(model.reservoir.memory[:60], data)
    assert sorted(model.sample(60).flatten().tolist()) == list(range(60))
    assert model.sample(180).flatten().long().bincount().tolist() == [3] * 60


def test_every_example_is_equally_likely_to_be_kept():
    torch.manual_seed(0)
    kept, runs = torch.zeros(40), 2000
    for _ in range(runs):
        model = Memoriser(DataSpec((1,)), capacity=10)
        for part in numbered(40).split(16):
            model.observe(Batch(part))
        assert len(set(model.reservoir.memory.flatten().tolist())) == 10
        kept[model.reservoir.memory.flatten().long()] += 1
    torch.testing.assert_close(kept / runs, torch.full((40,), 0.25), atol=0.045, rtol=0)
