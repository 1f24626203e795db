"""The rooms (folders) of src/genarena and their imports. `python -m tests.rooms` updates docs/architecture.md."""

import ast
import re
from pathlib import Path

from genarena.config import SOURCE

PAGE = SOURCE.parents[1] / "docs" / "architecture.md"
Graph = dict[str, set[str]]


def files() -> dict[str, Path]:
    """Module below `genarena` -> its file; for a package, its `__init__.py`."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found.pop("", None)  # genarena/__init__.py only has the version
    return found


def imported(path: Path) -> set[str]:
    """Dotted names of all imports in a file, also those inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def arrows() -> Graph:
    """Module -> the modules of genarena that it imports, also inside functions."""
    known = files()
    graph: Graph = {}
    for module, path in known.items():
        names = {name.removeprefix("genarena.") for name in imported(path) if name.startswith("genarena.")}
        targets = {name if name in known else name.rpartition(".")[0] for name in names}
        graph[module] = (targets & set(known)) - {module}
    return graph


def room(module: str) -> str:
    """The top folder of a module below `genarena`; for a module at the root, its own name."""
    return module.partition(".")[0]


def room_arrows() -> Graph:
    """Room -> the other rooms that its files import."""
    graph: Graph = {room(module): set() for module in files()}
    for module, targets in arrows().items():
        graph[room(module)] |= {room(target) for target in targets} - {room(module)}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Cycles of the graph, as lists of nodes; one for each arrow that closes a cycle."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in done:
            for target in sorted(graph[node]):
                visit(target, [*path, node])
            done.add(node)

    for node in sorted(graph):
        visit(node, [])
    return found


def reachable(graph: Graph, start: str) -> set[str]:
    """All nodes that can be reached from `start` by one or more arrows."""
    found, waiting = set(), list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph[node]
    return found


def drawn(graph: Graph) -> Graph:
    """The transitive reduction of the graph: without arrows a -> c for which there are a -> b and b -> ... -> c."""
    return {
        node: {target for target in targets if not any(target in reachable(graph, other) for other in targets)}
        for node, targets in graph.items()
    }


def floors(graph: Graph) -> dict[str, int]:
    """Room -> its floor: 1 if it imports no other room, else one more than the highest floor of its imports."""
    heights: dict[str, int] = {}

    def height(node: str) -> int:
        if node not in heights:
            heights[node] = 1 + max(map(height, graph[node]), default=0)
        return heights[node]

    for node in graph:
        height(node)
    return heights


def picture(graph: Graph) -> str:
    """A Mermaid diagram of the rooms, with a box per floor and the arrows of `drawn`."""
    heights = floors(graph)
    lines = ["flowchart TD"]
    for floor in range(max(heights.values()), 0, -1):
        members = sorted(name for name, height in heights.items() if height == floor)
        lines += [f'    subgraph F{floor}["floor {floor}"]', *(f"        {name}" for name in members), "    end"]
    lines += [
        f"    {name} --> {' & '.join(sorted(targets))}" for name, targets in sorted(drawn(graph).items()) if targets
    ]
    return "\n".join(lines)


def table() -> Graph:
    """Room -> the rooms that it imports, according to the table in docs/architecture.md."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: set(re.findall(r"\w+", imports)) for name, imports in rows}


def written(graph: Graph) -> str:
    """The text of docs/architecture.md with the diagram and the last column of the table updated from `graph`."""
    text = re.sub(r"(?s)(?<=```mermaid\n).*?(?=\n```)", lambda _: picture(graph), PAGE.read_text())

    def row(match: re.Match) -> str:
        return f"{match[1]} {', '.join(sorted(graph.get(match[2], set()))) or '–'} |"

    return re.sub(r"^(\| `(\w+)` \|.*\|) [^|]* \|$", row, text, flags=re.MULTILINE)


if __name__ == "__main__":
    PAGE.write_text(written(room_arrows()))
