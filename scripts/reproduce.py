"""Run published settings again; exit code 0 when every number is reached."""

import sys

from genarena import cli, config
from genarena.errors import UserError
from genarena.options.script import Option
from genarena.published.experiment import setting

USAGE = """python scripts/reproduce.py [name=<experiment> | name=[a,b]] [runs_dir=runs] [data.root=<folder>] [trainer=gpu] ...

Without a name, all of conf/experiment, one after the other. A finished run is used, an interrupted one goes on."""


def main() -> None:
    others = [argument for argument in sys.argv[1:] if not argument.startswith(("name=", "debug=", "-"))]
    given = [argument for argument in sys.argv[1:] if argument not in others]
    chosen = cli.options({"name": Option(str | list[str] | None)}, USAGE, given)["name"]
    if given and not chosen:  # an empty variable must not start all of them
        raise UserError("name= is empty; leave it out for all experiments")
    known = config.available("experiment")
    names = known if chosen is None else chosen if isinstance(chosen, list) else [chosen]
    for name in names:
        if name not in known:
            raise UserError(
                f"name={name}: there is no such experiment{config.nearest(str(name), known)}; "
                f"available: {', '.join(known)}"
            )

    for name in names:
        setting(name, others)  # a mistake in the last one must not wait for the first

    from genarena.published.reproduce import reproduce

    outcomes = []
    for name in names:
        outcomes.append(reproduce(name, others))
        print(outcomes[-1].text, flush=True)
    if len(outcomes) > 1:
        print("\n".join(["", *(outcome.text for outcome in outcomes)]))
    print(f"{sum(outcome.reached for outcome in outcomes)} of {len(outcomes)} reached")
    sys.exit(0 if all(outcome.reached for outcome in outcomes) else 1)


if __name__ == "__main__":
    cli.guard(main)
