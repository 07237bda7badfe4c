"""A model that is not in the registry, given as "package.module:attribute": a config class, or a plain function."""

import importlib
import inspect
import os
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch

from baselines import MODELS, contract
from baselines.base import Model, ModelConfig

FOLDER = "SLEEPBENCH_FOLDER"
"""Environment variable: the folder where such modules are looked for last; unset, the current one.

A worker runs elsewhere and is told by it. Last, so that no file that happens to lie there hides an installed module.
"""

TRACE_LIMIT = 4000
"""Characters of what somebody's code raised that are shown: its end."""

FOREIGN = set[str]()
"""The modules that were imported because somebody named them."""

_OURS = ("baselines", "benchmark", "importlib", "torch")


def model_at(path: str) -> type[ModelConfig]:
    """The config class that `path` names, under the name `path`, so that a cell described in JSON is found again.

    Raises:
        ValueError: no such module or attribute, the module fails to import, or what is there builds no model.
    """
    module, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        raise ValueError(f"model {path!r}: a path is package.module:attribute, with dots and no folders")
    folder = os.environ.get(FOLDER) or str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    value: Any = load_module(module, f"model {path!r}")
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise ValueError(f"model {path!r}: module {module} has no {attribute!r}")
        value = getattr(value, part)
    return _config(value, path)


@cache
def _config(value: Any, path: str) -> type[ModelConfig]:
    """The config class of what a path names, always the same one; of one that a notebook defines anew a new one.

    Raises:
        ValueError: it builds no model.
    """
    if isinstance(value, type) and issubclass(value, ModelConfig):
        return valid_config(_alias(value, path), f"model {path!r}")
    return _factory_config(value, path)


def load_module(module: str, what: str) -> Any:
    """The module of that name.

    Raises:
        ValueError: it is not there, or importing it raised: then the message ends with its own traceback.
    """
    if module.partition(".")[0] != "baselines":
        FOREIGN.add(module)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        hint = "; a module is written without .py" if module.endswith(".py") else ""
        raise ValueError(f"{what}: cannot import {module}: {error}{hint}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # one that means to end the process too
        raise ValueError(f"{what}: importing {module} raised\n{their_traceback(error)}") from error


def valid_config(kind: type[ModelConfig], what: str) -> type[ModelConfig]:
    """The class itself, if it can be made with nothing but defaults and has a name and a version.

    Raises:
        ValueError: it lacks something; the message says what.
    """
    if missing := [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]:
        raise ValueError(f"{what}: every setting of {kind.__qualname__} needs a default; {', '.join(missing)} has none")
    if lacking := [name for name in ("name", "version") if not hasattr(kind, name)]:
        raise ValueError(f"{what}: {kind.__qualname__} needs a class attribute {' and '.join(lacking)}")
    if inspect.isabstract(kind):
        raise ValueError(f"{what}: {kind.__qualname__} needs a method build(self, *, vocab_size, window, seq_len)")
    return kind


def attempt(config: ModelConfig, *, vocab_size: int, window: int, seq_len: int) -> None:
    """Build the model once and drop it, so that a model that cannot be built is refused before anything begins.

    A model from outside the registry must keep the contract in its calls, too.

    Raises:
        ValueError: it cannot; where its own code raised, the message ends with its own traceback.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        with own_errors(f"model {config.name!r}: building it raised"):
            model = config.build(vocab_size=vocab_size, window=window, seq_len=seq_len)
        if config.name not in MODELS:
            with own_errors(f"model {config.name!r}: running it raised"):
                contract.check(model, vocab_size=vocab_size, window=min(window, seq_len))


@contextmanager
def own_errors(what: str) -> Iterator[None]:
    """Turn an error of a user's code into a ValueError that says `what` and ends with its own traceback.

    A ValueError of this project's code passes as it is: its message was written for the user.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ValueError) and _first_frame(error) is None:
            raise
        raise ValueError(f"{what}\n{their_traceback(error)}") from error


def their_traceback(error: BaseException) -> str:
    """The traceback of an error from the first frame that is not this project's, torch's or the import system's.

    Of one that is very long the end.
    """
    frame = _first_frame(error)
    return "".join(traceback.format_exception(type(error), error, frame, chain=False)).rstrip()[-TRACE_LIMIT:]


def _first_frame(error: BaseException) -> types.TracebackType | None:
    """The first frame of an error that is in a user's code; None if there is none."""
    frame = error.__traceback__
    while frame and frame.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        frame = frame.tb_next
    return frame


def _alias(kind: type[ModelConfig], path: str) -> type[ModelConfig]:
    """The same config class under the name `path`."""
    attributes = {"name": path, "__doc__": kind.__doc__, "__module__": kind.__module__}
    return types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(attributes))


def _factory_config(factory: Callable[..., Any], path: str) -> type[ModelConfig]:
    """A config class without settings that builds by calling `factory`.

    Raises:
        ValueError: it cannot be called with `vocab_size`, `window` and `seq_len`.
    """
    needed = "a factory takes vocab_size, window and seq_len by name and returns a baselines.base.Model"
    if not callable(factory):
        raise ValueError(f"model {path!r} is {_kind_of(factory)}, neither a ModelConfig class nor a factory; {needed}")
    try:
        inspect.signature(factory).bind(vocab_size=1, window=1, seq_len=1)
    except TypeError as error:
        raise ValueError(f"model {path!r}: {error}; {needed}") from error

    @dataclass(frozen=True, kw_only=True)
    class Given(ModelConfig):
        name: ClassVar[str] = path
        version: ClassVar[int] = getattr(factory, "version", 1)

        def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
            model = factory(vocab_size=vocab_size, window=window, seq_len=seq_len)
            if not isinstance(model, Model):
                raise ValueError(f"model {path!r} returned {_kind_of(model)}; {needed}")
            return model

    return Given


def _kind_of(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__qualname__}"
