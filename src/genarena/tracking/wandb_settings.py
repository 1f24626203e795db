"""Settings of W&B before a run has a folder: names, key, server, W&B's own folders. Imports no torch."""

import atexit
import math
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from genarena.errors import UserError

HOMES = {  # variable of a folder of W&B's own files -> its default
    "WANDB_CONFIG_DIR": "~/.config/wandb",
    "WANDB_CACHE_DIR": "~/.cache/wandb",
    "WANDB_DATA_DIR": "~/.local/share/wandb",
}


def disabled(settings: dict[str, Any]) -> bool:
    """Whether WANDB_MODE=disabled forbids a W&B run, and `logger.offline` does not override it."""
    return settings["offline"] is None and os.environ.get("WANDB_MODE") == "disabled"


def check_environment(settings: dict[str, Any]) -> None:
    """Raise UserError for settings, or an address in a variable, that no W&B run could use. Imports nothing of W&B."""
    if settings["kind"] != "wandb" or disabled(settings):
        return
    names(settings)
    if settings["offline"] is False and not _has_key(_server()):
        raise UserError(
            "logger.offline=false: W&B has no API key; set WANDB_API_KEY, or `wandb login`, or leave it out"
        )
    _address()


def check(settings: dict[str, Any]) -> None:
    """Raise UserError for settings or an environment that W&B would refuse. Called before a run has a folder."""
    check_environment(settings)
    if settings["kind"] != "wandb" or disabled(settings):
        return
    entity, project = names(settings)
    prepare(settings)
    try:
        import wandb

        wandb.Settings(project=project, entity=entity)
        wandb.setup().ensure_service()  # the process that writes and uploads
    except Exception as error:  # errors of pydantic, W&B or the system
        raise UserError(f"logger=wandb: W&B cannot be started: {_cause(error)}") from error


def names(settings: dict[str, Any]) -> tuple[str | None, str]:
    """Entity and project; `logger.project=team/proj` names both. Raises UserError if they contradict each other."""
    entity, project = settings["entity"], str(settings["project"])
    if "/" not in project:
        return entity, project
    team, _, name = project.partition("/")
    if not team or not name or "/" in name or entity not in (None, team):
        beside = f", logger.entity={entity}" if entity else ""
        raise UserError(f"logger.project={project}{beside}: expected <project>, or <entity>/<project> alone")
    return team, name


def prepare(settings: dict[str, Any]) -> None:
    """Set W&B's environment variables, unless the user has set them. Call it before W&B is imported."""
    if "/" in os.environ.get("WANDB_PROJECT", ""):  # W&B reads it too, and takes no team in it
        os.environ["WANDB_PROJECT"] = names(settings)[1]
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(math.ceil(settings["init_timeout"])))  # of other requests
    for variable, usual in HOMES.items():
        if variable not in os.environ and not _is_writable(Path(os.path.expanduser(usual))):
            os.environ[variable] = tempfile.mkdtemp(prefix="wandb-")
            atexit.register(shutil.rmtree, os.environ[variable], ignore_errors=True)


def _is_writable(folder: Path) -> bool:
    """Whether files can be created in a folder, which is created if missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def why_offline(asked: bool | None) -> str | None:
    """The reason to stay offline. None if W&B may be used, has a key, and its server or proxy accepts connections."""
    mode = os.environ.get("WANDB_MODE", "online")
    if asked or (asked is None and mode not in ("online", "run")):
        return "logger.offline=true" if asked else f"WANDB_MODE={mode}"
    server = _server()
    if not _has_key(server):
        return "no API key"
    try:
        _within(3.0, lambda: socket.create_connection(_address(), timeout=2).close())
    except OSError:
        return "no network"
    return None


def _address() -> tuple[str, int]:
    """Host and port to connect to: of the proxy, where there is one. Raises UserError for what is no address."""
    server, said = _server(), "WANDB_BASE_URL"
    proxy = getproxies().get(server.scheme)
    if proxy and not proxy_bypass(server.hostname or ""):
        said = f"{server.scheme}_proxy"  # the value may hold a password
        server = _parsed(proxy if "//" in proxy else f"http://{proxy}", said)
    try:
        return server.hostname or "", server.port or (80 if server.scheme == "http" else 443)
    except ValueError as error:
        raise UserError(f"{said}: is no address, e.g. http://localhost:8080") from error


def _has_key(server: Any) -> bool:
    try:
        file = os.environ.get("NETRC")
        return bool(os.environ.get("WANDB_API_KEY")) or netrc(file).authenticators(server.hostname or "") is not None
    except (OSError, NetrcParseError):
        return False


def _server() -> Any:
    return _parsed(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"), "WANDB_BASE_URL")


def _parsed(address: str, said: str) -> Any:
    try:
        return urlparse(address)
    except ValueError as error:  # brackets that are not those of an IPv6 address
        raise UserError(f"{said}: is no address, e.g. http://localhost:8080") from error


def _within(seconds: float, action: Callable[[], object]) -> None:
    """Call `action` and wait at most `seconds` for it. Raises its error, or TimeoutError."""
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            action()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer in {seconds:g} s")
    if raised:
        raise raised[0]


def _cause(error: BaseException) -> str:
    """An error of W&B in one line. Pydantic prints the setting's name and the reason on separate lines."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if len(lines) > 2 and lines[0].endswith("Settings"):
        return f"{lines[1]} (WANDB_{lines[1].upper()}): {lines[2].partition(' [type')[0]}"
    return first_line(error)


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines and lines[0] != "<no message>" else type(error).__name__
