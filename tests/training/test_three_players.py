"""Players with their own optimisers and turns, groups of parameters, lazy penalties: on games with a known outcome."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from genarena.models.base import GenerativeModel
from genarena.spec import Batch
from genarena.training.module import Training
from genarena.training.players import Player
from genarena.training.schedule import constant
from tests.training.callbacks.toy import SPEC, Mean, TwoPlayers
from tests.training.test_plain_trainer import loader, trainer

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and devices
SGD = partial(torch.optim.SGD, lr=0.1)


class Game(GenerativeModel):
    """Scalars a, b, c. `table` makes the players."""

    family, likelihood, paper = "toy", Mean.likelihood, "-"

    def __init__(self, table: Callable[["Game"], list[Player]], training: Training | None = None) -> None:
        super().__init__(SPEC, training or Training(SGD, constant, batch_size=8))
        self.a, self.b, self.c = (nn.Parameter(torch.tensor(value)) for value in (0.5, -0.5, 0.0))
        self.table = table

    def players(self) -> list[Player]:
        return self.table(self)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        raise AssertionError("the players have their own losses")

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return torch.zeros(num_samples, 2)


class Path3(Callback):
    """a, b, c after each batch."""

    def __init__(self) -> None:
        self.path = [(0.5, -0.5, 0.0)]

    def on_train_batch_end(self, trainer: Trainer, model: Game, *_: object) -> None:
        self.path.append(tuple(float(value) for value in (model.a, model.b, model.c)))

    def moved(self, index: int) -> list[int]:
        return [
            k for k, (old, new) in enumerate(zip(self.path, self.path[1:], strict=False)) if old[index] != new[index]
        ]


def play(game: Game, folder: Path, epochs: int = 1) -> Path3:
    path = Path3()
    trainer(folder, max_epochs=epochs, callbacks=[path]).fit(game, loader())
    return path


def three(game: Game) -> list[Player]:
    """d/da [(a-1)^2 + ab] = d/db [(b+a)^2] = d/dc [(c-a)^2 + bc] = 0 at a = 2, b = -2, c = 3."""
    return [
        Player("a", [game.a], lambda _: {"loss": (game.a - 1) ** 2 + game.a * game.b}),
        Player("b", [game.b], lambda _: {"loss": (game.b + game.a) ** 2}, partial(torch.optim.SGD, lr=0.3), every=2),
        Player("c", [game.c], lambda _: {"loss": (game.c - game.a) ** 2 + game.b * game.c}, torch.optim.Rprop, every=3),
    ]


def test_three_players_reach_their_equilibrium_each_in_its_turn(tmp_path: Path) -> None:
    """The sum of their losses has another minimum, and a player that learnt from another's loss would leave this point."""
    game = Game(three)
    path = play(game, tmp_path, epochs=60)
    assert path.path[-1] == pytest.approx((2.0, -2.0, 3.0), abs=1e-3)
    early = [[k for k in path.moved(index) if k < 12] for index in range(3)]
    assert early == [list(range(12)), [1, 3, 5, 7, 9, 11], [2, 5, 8, 11]]
    assert [type(optimizer).__name__ for optimizer in game.trainer.optimizers] == ["SGD", "SGD", "Rprop"]
    assert set(game.learning_rates) == {"a_learning_rate", "b_learning_rate", "c_learning_rate"}


def test_a_later_player_answers_the_new_weights_of_an_earlier_one(tmp_path: Path) -> None:
    path = play(Game(lambda game: three(game)[:2]), tmp_path).path
    a, b = 0.5, -0.5
    for step in range(8):
        a -= 0.1 * (2 * (a - 1) + b)
        b -= 0.3 * 2 * (b + a) if step % 2 else 0.0
        assert path[step + 1][:2] == pytest.approx((a, b), abs=1e-6)


def test_a_lazy_penalty_moves_every_fourth_step_through_the_same_optimiser(tmp_path: Path) -> None:
    """Against plain torch: one optimiser with momentum, whose state both losses share."""
    momentum = partial(torch.optim.SGD, lr=0.05, momentum=0.9)

    def table(game: Game) -> list[Player]:
        return [
            Player("critic", [game.a], lambda _: {"loss": (game.a - 3) ** 2}, momentum),
            Player("penalty", [game.a], lambda _: {"loss": 4 * 0.1 * game.a**2}, "critic", every=4),
        ]

    game = Game(table)
    path = play(game, tmp_path).path
    a = torch.tensor(0.5, requires_grad=True)
    optimizer = momentum([a])
    for step in range(8):
        for loss in [lambda: (a - 3) ** 2] + ([lambda: 4 * 0.1 * a**2] if step % 4 == 3 else []):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        assert path[step + 1][0] == pytest.approx(float(a), abs=1e-6)
    assert len(game.trainer.optimizers) == 1


def test_groups_scale_the_rate_and_the_decay_of_the_optimiser(tmp_path: Path) -> None:
    decaying = partial(torch.optim.SGD, lr=0.1, weight_decay=0.5)

    def table(game: Game) -> list[Player]:
        groups = [
            {"params": [game.a], "lr_factor": 0.1},
            {"params": [game.b], "weight_decay_factor": 0.0},
            {"params": [game.c], "lr": 0.2},
        ]
        return [Player("", groups, lambda _: {"loss": game.a + game.b + game.c})]

    settings = Training(decaying, lambda progress: 0.5, batch_size=8)
    found = play(Game(table, settings), tmp_path).path[1]
    expected = (0.5 - 0.005 * (1 + 0.5 * 0.5), -0.5 - 0.05 * 1, 0.0 - 0.1 * 1)
    assert found == pytest.approx(expected, abs=1e-6)


def test_what_a_player_does_not_own_is_constant_and_gets_no_gradient(tmp_path: Path) -> None:
    seen = []

    def table(game: Game) -> list[Player]:
        def loss(_: Batch) -> dict[str, Tensor]:
            seen.append(tuple(p.requires_grad for p in (game.a, game.b, game.c)))
            return {"loss": (game.a + game.b + game.c) ** 2}

        return [Player("a", [game.a], loss), Player("b", [game.b], loss)]

    class Watched(Game):
        def after_step(self) -> None:
            assert all(p.grad is None for p in self.parameters())

        def descend(self, loss: Tensor, seat: object) -> bool | None:
            self.manual_backward(loss, retain_graph=True)
            touched.append([name for name, p in self.named_parameters() if p.grad is not None])
            return super().descend(loss, seat)

    touched: list[list[str]] = []
    game = Watched(table)
    play(game, tmp_path)
    assert set(seen[::2]) == {(True, False, False)} and set(seen[1::2]) == {(False, True, False)}
    assert touched[:2] == [["a"], ["b"]] and touched == touched[:2] * 8
    assert all(p.requires_grad for p in game.parameters())


def test_parameters_that_were_frozen_stay_frozen(tmp_path: Path) -> None:
    game = Game(three)
    game.b.requires_grad_(False)
    path = play(game, tmp_path)
    assert path.moved(1) == [] and path.moved(0) == list(range(8)) and not game.b.requires_grad
    assert len(game.trainer.optimizers) == 2


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"name": "a"}, "players 'a', 'a': expected different names"),
        ({"name": "b", "optimizer": "z"}, "b: optimizer='z' is no earlier player"),
        ({"name": "b", "optimizer": "a", "own": "b"}, "no earlier player with the same parameters"),
        (
            {"name": "b", "optimizer": torch.optim.Rprop, "decay": 0.0},
            "b: weight_decay_factor=0.0: Rprop has no weight",
        ),
    ],
)
def test_players_that_do_not_fit_together_are_named(second: dict, words: str, tmp_path: Path) -> None:
    def table(game: Game) -> list[Player]:
        options = dict(second)
        group = {"params": [getattr(game, options.pop("own", "a"))]}
        if "decay" in options:
            group["weight_decay_factor"] = options.pop("decay")
        first = Player("a", [game.a], lambda _: {"loss": game.a})
        return [first, Player(parameters=[group], loss=lambda _: {"loss": game.a}, **options)]

    with pytest.raises(ValueError, match=words):
        play(Game(table), tmp_path)


def test_a_player_has_its_own_limit_on_the_gradient(tmp_path: Path) -> None:
    def table(game: Game) -> list[Player]:
        return [
            Player("a", [game.a], lambda _: {"loss": 10 * game.a}),
            Player("b", [game.b], lambda _: {"loss": 10 * game.b}, clip=2.0),
            Player("c", [game.c], lambda _: {"loss": 10 * game.c}, clip=math.inf),
        ]

    settings = Training(SGD, constant, batch_size=8, gradient_clip=1.0)
    found = play(Game(table, settings), tmp_path).path[1]
    assert found == pytest.approx((0.5 - 0.1, -0.5 - 0.2, 0.0 - 1.0), abs=1e-5)


def test_two_players_resumed_are_the_uninterrupted_ones(tmp_path: Path) -> None:
    ends = []
    for parts in ([2], [1, 2]):
        torch.manual_seed(0)
        path = None
        for epochs in parts:
            model = TwoPlayers()
            model.n_critic = 3  # a turn of the generator begins in one part and ends in the other
            model.settings = Training(partial(torch.optim.Adam, lr=0.05), lambda progress: 1.0, batch_size=8)
            fitter = trainer(tmp_path, max_epochs=epochs)
            fitter.fit(model, loader(), ckpt_path=path)
            path = tmp_path / "end.ckpt"
            fitter.save_checkpoint(path)
        states = [state for optimizer in fitter.optimizers for state in optimizer.state.values()]
        ends.append([*model.parameters(), *(value for state in states for value in state.values())])
    assert len(ends[0]) == 4 + 4 * 3
    assert all(torch.equal(whole, resumed) for whole, resumed in zip(*ends, strict=True))
