"""Prints trials and failures for each promise at the end of `make test-faults`. A promise is a test's docstring."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.trial import Process, RunFolder, command, folder_of

HERE = Path(__file__).parent
MODELS = ("vae", "dcgan")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.user_properties.append(("promise", (item.function.__doc__ or item.name).splitlines()[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    trials, failures, moments = Counter(), Counter(), {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            promise = dict(getattr(report, "user_properties", ())).get("promise")
            if promise is None or (outcome == "passed" and report.when != "call"):
                continue
            trials[promise] += 1
            failures[promise] += outcome != "passed"
            moments.setdefault(promise, Counter()).update(
                value for name, value in report.user_properties if name == "while"
            )
    if trials:
        terminalreporter.section("promises")
        terminalreporter.write_line(f"{'trials':>7} {'failures':>9}  promise")
        for promise, count in trials.items():
            terminalreporter.write_line(f"{count:>7} {failures[promise]:>9}  {promise}")
            if moments[promise]:
                told = ", ".join(f"{state} {number}" for state, number in moments[promise].most_common())
                terminalreporter.write_line(f"{'':>19}(while: {told})")
        terminalreporter.write_line(f"{trials.total():>7} {failures.total():>9}  in all")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[RunFolder, float]]:
    """Model -> its uninterrupted run and the duration in seconds."""
    runs = {}
    for model in MODELS:
        runs_dir = tmp_path_factory.mktemp(f"whole-{model}")
        process = Process(command(runs_dir, model), runs_dir / "log")
        assert process.wait() == 0, process.output
        runs[model] = folder_of(runs_dir), process.seconds
    return runs
