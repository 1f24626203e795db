"""What a caption says about a scene, with exact semantics.

- "a red circle": there is at least one. Several such: there are as many different objects. Anything else may be there too.
- "three red circles": there are exactly three red circles, and anything else.
- "left of" and "right of": the horizontal distance of the centres is the longer one, and has this sign; "above" and "below" the
  same for the vertical one.
- "only": nothing else is in the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from genarena.data.scenery.things import Thing

RELATIONS = ("left", "right", "above", "below")


@dataclass(frozen=True)
class Wanted:
    """An object that is asked for; None: any. count: exactly so many of them; None: at least one."""

    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    count: int | None = None

    def fits(self, thing: Thing) -> bool:
        asked = ((self.shape, thing.shape), (self.colour, thing.colour), (self.size, thing.size))
        return all(wanted is None or wanted == found for wanted, found in asked)


@dataclass(frozen=True)
class Check:
    """What has to hold. relation: how the first wanted object lies to the second. only: there is nothing else."""

    wanted: tuple[Wanted, ...]
    relation: str | None = None
    only: bool = False

    def holds(self, scene: Sequence[Thing]) -> bool:
        """Whether it is true of the objects of a scene."""
        if self.only and len(scene) != sum(wanted.count or 1 for wanted in self.wanted):
            return False
        for wanted in self.wanted:
            if wanted.count is not None and sum(map(wanted.fits, scene)) != wanted.count:
                return False
        single = [wanted for wanted in self.wanted if wanted.count is None]
        options = [[place for place, thing in enumerate(scene) if wanted.fits(thing)] for wanted in single]
        return self._assigned(options, scene, ())

    def _assigned(self, options: list[list[int]], scene: Sequence[Thing], taken: tuple[int, ...]) -> bool:
        """Whether different objects fit, and lie to each other as they should."""
        if self.relation and len(taken) == 2 and lies(scene[taken[0]], scene[taken[1]]) != self.relation:
            return False
        if len(taken) == len(options):
            return True
        places = (place for place in options[len(taken)] if place not in taken)
        return any(self._assigned(options, scene, (*taken, place)) for place in places)

    @property
    def concepts(self) -> int:
        """Number of facts that are asked for: shapes, colours, sizes, numbers, the relation, and that there is nothing else."""
        facts = sum(
            fact is not None for each in self.wanted for fact in (each.shape, each.colour, each.size, each.count)
        )
        return facts + (self.relation is not None) + self.only

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """The (shape, colour) that it names."""
        return {(each.shape, each.colour) for each in self.wanted if each.shape and each.colour}


def lies(first: Thing, second: Thing) -> str | None:
    """How the first lies to the second; None if neither axis is the longer."""
    across, down = second.x - first.x, second.y - first.y
    if abs(across) == abs(down):
        return None
    if abs(across) > abs(down):
        return "left" if across > 0 else "right"
    return "above" if down > 0 else "below"
