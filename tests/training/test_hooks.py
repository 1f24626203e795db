"""The hooks `observe` and `after_step`, and what counts as a row of skipped steps."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genarena.spec import Batch
from genarena.training.module import Training
from genarena.training.players import Player
from genarena.training.schedule import constant
from tests.training.callbacks.toy import Mean
from tests.training.test_plain_trainer import loader, trainer
from tests.training.test_three_players import Game, play

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and devices
SGD = partial(torch.optim.SGD, lr=0.1)
NAN = float("nan")


def test_the_hooks_come_before_and_after_the_step_in_training_only(tmp_path: Path) -> None:
    """A target network: exactly the recursion on the weights after each step, none where the step is skipped."""

    class Target(Mean):
        def __init__(self, accumulate: int) -> None:
            super().__init__(broken=range(3, 4))
            self.settings = Training(SGD, constant, batch_size=8, accumulate=accumulate)
            self.register_buffer("target", torch.full((2,), 5.0))

        def observe(self, batch: Batch) -> None:
            assert self.training and not torch.is_grad_enabled()
            events.append(("observe", self.mean.clone()))

        def after_step(self) -> None:
            assert not torch.is_grad_enabled()
            self.target.lerp_(self.mean, 0.25)
            events.append(("after", self.mean.clone()))

    events: list[tuple[str, Tensor]] = []
    for accumulate, expected in ((1, ["observe", "after"] * 8), (2, ["observe", "observe", "after"] * 4)):
        events.clear()
        model = Target(accumulate)
        trainer(tmp_path, max_epochs=1).fit(model, loader())
        broken = 7 if accumulate == 1 else 5  # the batch 3 is not finite
        del expected[broken]
        assert [name for name, _ in events] == expected
        target = torch.full((2,), 5.0)
        for name, mean in events:
            target = target.lerp(mean, 0.25) if name == "after" else target
        assert torch.equal(model.target, target)


def test_a_row_of_skipped_steps_ends_when_all_players_are_sound_again(tmp_path: Path) -> None:
    """b breaks in its first move (batch 1). The row ends with its next finite move (batch 3), not with one of a."""

    def table(game: Game) -> list[Player]:
        def broken(_: Batch) -> dict[str, Tensor]:
            return {"loss": game.b**2 * (NAN if game.batches_seen == 1 else 1.0)}

        return [Player("a", [game.a], lambda _: {"loss": game.a**2}), Player("b", [game.b], broken, every=2)]

    class Counted(Game):
        def after_batch(self, terms: dict, num_examples: int) -> None:
            rows.append((self.nonfinite_steps, self.nonfinite_in_a_row))
            super().after_batch(terms, num_examples)

    rows: list[tuple[int, int]] = []
    play(Counted(table), tmp_path)
    assert rows == [(0, 0), (1, 1), (1, 1), (1, 0), (1, 0), (1, 0), (1, 0), (1, 0)]
