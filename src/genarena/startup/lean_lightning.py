"""`import pytorch_lightning` without the imports that a run does not need.

Lightning imports torchmetrics for two classes; that package then imports torchvision, scipy.signal, matplotlib and all its
metrics. Lightning, torch's optimisers and its FLOP counter import torch._dynamo, the compiler, to test whether a module is
compiled and to exclude functions from compilation. Together this takes twice the time of `import torch`.

After `install()`, torchmetrics is a module with these two classes; the first use of any other name loads the whole package
into the same module. torch._dynamo is imported when something compiles. If the installed versions differ in structure, or
the packages are imported already, everything is imported as usual.
"""

import functools
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

PACKAGE, PLOT, COMPILER = "torchmetrics", "torchmetrics.utilities.plot", "torch._dynamo"
CLASSES = {"Metric": "torchmetrics.metric", "MetricCollection": "torchmetrics.collections"}
OPTIMISER = "torch.optim.optimizer"
USERS_OF_COMPILER = (
    OPTIMISER,
    "torch.utils.flop_counter",
    "lightning_fabric.wrappers",
    "pytorch_lightning.utilities.compile",
    "pytorch_lightning.trainer.connectors.logger_connector.result",
)
ASKED_OF_ANY_MODULE = ("__path__", "__wrapped__", "__warningregistry__", "__test__")  # by import, inspect, pytest


def install() -> None:
    """From now on, import these packages lazily. A second call does nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds a few modules at their usual places, and gives them another loader."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        own = {PACKAGE: _LazyLoader, PLOT: _LazyLoader, **dict.fromkeys(USERS_OF_COMPILER, _LoaderWithoutCompiler)}
        spec = PathFinder.find_spec(name, path, target) if name in own else None
        if spec is not None and spec.loader is not None:
            spec.loader = own[name](spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, usual: Loader) -> None:
        self.usual = usual

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.usual.create_module(spec)


# -- torchmetrics ------------------------------------------------------------------------------------------------------


class _LazyLoader(_Loader):
    """Makes a module with a few names; the others are loaded at their first use."""

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _LazyModule
        try:
            module.__dict__.update(_of_plot(module) if module.__name__ == PLOT else _of_package())
        except PackageNotFoundError:  # installed without version metadata
            whole(module)


class _LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name in ASKED_OF_ANY_MODULE:
            raise AttributeError(name)
        if self.__name__ == PACKAGE and name in (*CLASSES, "utilities"):
            try:
                return _one_class(name)
            except (ImportError, AttributeError):  # a version with another structure
                pass
        return getattr(whole(self), name)


def whole(module: ModuleType) -> ModuleType:
    """The same module, completely loaded."""
    if type(module) is _LazyModule:
        lazy = module.__spec__.loader
        module.__class__, module.__spec__.loader, module.__loader__ = ModuleType, lazy.usual, lazy.usual
        try:
            lazy.usual.exec_module(module)
        except BaseException:
            module.__class__, module.__spec__.loader, module.__loader__ = _LazyModule, lazy, lazy
            raise
    return module


def _of_package() -> dict[str, Any]:
    return {"__version__": version(PACKAGE), "_logger": logging.getLogger(PACKAGE)}


def _one_class(name: str) -> Any:
    utilities = importlib.import_module("torchmetrics.utilities")  # first: avoids a circular import
    found = utilities if name == "utilities" else getattr(importlib.import_module(CLASSES[name]), name)
    setattr(sys.modules[PACKAGE], name, found)
    return found


def _of_plot(module: ModuleType) -> dict[str, Any]:
    """The names that `Metric` imports from `torchmetrics.utilities.plot`: two types, as without matplotlib, and a function."""

    def plot_single_or_multi_val(*args: Any, **kwargs: Any) -> Any:
        return whole(module).plot_single_or_multi_val(*args, **kwargs)

    return {
        "_AX_TYPE": object,
        "_PLOT_OUT_TYPE": tuple[object, object],
        "plot_single_or_multi_val": plot_single_or_multi_val,
    }


# -- torch._dynamo -----------------------------------------------------------------------------------------------------


class _LoaderWithoutCompiler(_Loader):
    """Loads a module while `_Compiler` replaces torch._dynamo, and `uncompiled` replaces torch's decorator."""

    def exec_module(self, module: ModuleType) -> None:
        torch = sys.modules["torch"]
        usual = getattr(torch, "_disable_dynamo", None)
        if COMPILER in sys.modules or usual is None:
            self.usual.exec_module(module)
            return
        sys.modules[COMPILER], torch._disable_dynamo = _Compiler(COMPILER), uncompiled
        try:
            self.usual.exec_module(module)
            if module.__name__ == OPTIMISER:
                module._use_grad_for_differentiable = _without_compiler(module._use_grad_for_differentiable)
        finally:
            torch._disable_dynamo = usual
            if isinstance(sys.modules.get(COMPILER), _Compiler):
                del sys.modules[COMPILER]


class _CompiledType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        compiler = sys.modules.get(COMPILER)
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class _Compiled(metaclass=_CompiledType):
    """`isinstance` of this class tests for `torch._dynamo.OptimizedModule`; it is False if torch._dynamo is not imported."""


def uncompiled(function: Callable, recursive: bool = True, **options: Any) -> Callable:
    """`torch._dynamo.disable`, applied at the first call after torch._dynamo has been imported."""
    disabled: Callable | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal disabled
        if disabled is None and hasattr(sys.modules.get(COMPILER), "disable"):
            disabled = sys.modules[COMPILER].disable(function, recursive, **options)
        return (disabled or function)(*args, **kwargs)

    return call


def _without_compiler(usual: Callable) -> Callable:
    """torch's decorator of `Optimizer.step`, which imports torch._dynamo to break graphs; without it there are none."""

    def decorated(function: Callable) -> Callable:
        compiled = usual(function)

        @functools.wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            if COMPILER in sys.modules:
                return compiled(*args, **kwargs)
            with sys.modules["torch"].set_grad_enabled(args[0].defaults["differentiable"]):
                return function(*args, **kwargs)

        return step

    return decorated


class _Compiler(ModuleType):
    """The names that Lightning uses of torch._dynamo; any other name imports the real module."""

    OptimizedModule = _Compiled
    disable = staticmethod(uncompiled)

    def __getattr__(self, name: str) -> Any:
        if name in ASKED_OF_ANY_MODULE:
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]
        return getattr(importlib.import_module(COMPILER), name)
