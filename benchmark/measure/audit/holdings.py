"""What a model holds beside its state: all that Python can reach from its modules, their classes and their files.

`World.fingerprints` lists it under names a reader can look up; `World.rewind` puts back what calls have changed there,
so that two runs can start from the same world.
"""

import functools
import gc
import hashlib
import random
import sys
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# These lead to whole files; World enters those it means.
OPAQUE_TYPES = (type, ModuleType, CodeType, FrameType, TracebackType)
PLAIN_TYPES = (type(None), bool, int, float, complex, str, bytes, bytearray, array)
CONTAINERS = (OrderedDict, dict, set, list, deque)  # what can be filled again, the narrower type first
SHELVES = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}
# Objects of other packages are not entered: a logger or a fixture leads to the whole process, and holds no tokens.
OPEN_MODULES = {"types", "weakref", "collections", "functools", "queue", "builtins", "_thread", "_weakref", "itertools"}

Part = tuple[str, str | None, Any]
"""What is added to the name, the kind of place if it is a new one, and the object."""


class World:
    """A model, and the classes and Python files that its code lives in, as they were when this was made."""

    def __init__(self, model: nn.Module, *kinds: type) -> None:
        """The world of `model` and of `kinds`, such as the class of its state."""
        bases = dict.fromkeys(base for m in model.modules() for base in type(m).__mro__)
        bases |= dict.fromkeys(base for kind in kinds for base in kind.__mro__)
        files = dict.fromkeys(sys.modules[kind.__module__] for kind in bases if _is_foreign(kind))
        inside = [v for file in files for v in vars(file).values() if isinstance(v, type)]
        bases |= dict.fromkeys(v for v in inside if sys.modules.get(v.__module__) in files)
        self.homes = OPEN_MODULES | {file.__name__.partition(".")[0] for file in files}
        self.spaces: list[tuple[str, Any, str]] = [
            *((kind.__name__, kind, "class attribute") for kind in bases if _is_foreign(kind)),
            *((file.__name__, file, "module global") for file in files),
        ]
        self.random, self.numpy = random.getstate(), np.random.get_state()
        self.model = model
        self.undo = list(self._rewinds())

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of all that is held, by name and kind, such as "blocks.0.mixer.last (attribute)"."""
        objects: dict[int, Any] = {}
        marks = _marks(self._leaves(self.model, "", "attribute", objects))
        for name, space, kind in self.spaces:
            for key, value in _namespace(space).items():
                marks |= _marks(self._leaves(value, f"{name}.{key}", kind, objects))
        generators = {"torch": torch.get_rng_state(), "random": random.getstate(), "numpy": np.random.get_state()}
        for name, state in generators.items():
            marks |= _marks(self._leaves(state, name, "global random generator", objects))
        return marks

    def fields(self, value: Any, declared_ids: set[int]) -> dict[str, str]:
        """The same of one object such as a state, without the values of tensors whose id is in `declared_ids`."""
        leaves = self._leaves(value, "", "attribute", {})
        return _marks((name, kind, leaf) for name, kind, leaf in leaves if id(leaf) not in declared_ids)

    def tensors(self, value: Any) -> dict[str, list[Tensor]]:
        """Every tensor that an object such as a state holds, by the name of the field it is in."""
        tensors: dict[str, list[Tensor]] = {}
        for name, _, leaf in self._leaves(value, "", "attribute", {}):
            if isinstance(leaf, Tensor):
                tensors.setdefault(name.lstrip("."), []).append(leaf)
        return tensors

    def rewind(self) -> None:
        """Put the model, classes, files, closures and caches back to what they were."""
        for undo in self.undo:
            undo()
        random.setstate(self.random)
        np.random.set_state(self.numpy)

    def _leaves(self, value: Any, name: str, kind: str, objects: dict[int, Any]) -> Iterator[tuple[str, str, Any]]:
        """(name, kind, leaf) of every number, string and tensor in `value`; each object once, under its first name."""
        if isinstance(value, PLAIN_TYPES):
            yield name, kind, value
        elif id(value) not in objects:
            objects[id(value)] = value  # kept alive: a freed id could come again
            if isinstance(value, Tensor | np.ndarray | torch.Generator):
                yield name, kind, value
            for label, new, part in self._parts(value):
                yield from self._leaves(part, name + label, new or kind, objects)

    def _parts(self, value: Any) -> Iterator[Part]:
        """What an object holds. Places in containers get no name of their own: the reader looks for the container."""
        if isinstance(value, OPAQUE_TYPES):
            return
        if isinstance(value, dict):
            yield from (("", None, part) for item in _content(value) for part in item)
        elif isinstance(value, set | frozenset):
            yield from (("", None, part) for part in sorted(value, key=repr))
        elif isinstance(value, list | tuple | deque):
            yield from (("", None, part) for part in value)
        elif isinstance(value, FunctionType):
            for free, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                yield f".{value.__name__}.{free}", "closure variable", cell
            yield "", "default argument", (value.__defaults__, value.__kwdefaults__)
        elif isinstance(value, MethodType):
            yield from (("", None, part) for part in (value.__self__, value.__func__))
        elif isinstance(value, functools.partial):
            yield from (("", None, part) for part in (value.func, value.args, value.keywords))
        elif isinstance(value, ContextVar):
            yield "", "context variable", value.get(None)
        elif isinstance(value, functools._lru_cache_wrapper):
            yield from (("", "functools cache", part) for part in gc.get_referents(value))
        elif names := _slots(value):
            yield from ((f".{name}", "attribute", getattr(value, name)) for name in names)
        elif not isinstance(value, nn.Module | Tensor | np.ndarray) and not hasattr(value, "__dict__"):
            yield from (("", None, part) for part in gc.get_referents(value))  # iterators, cells, containers in C
        if hasattr(value, "__dict__") and self._is_open(value):
            for key, part in vars(value).items():
                if isinstance(value, nn.Module) and key in SHELVES:
                    yield from ((f".{name}", SHELVES[key], item) for name, item in part.items())
                else:
                    yield f".{key}", "attribute", part

    def _is_open(self, value: Any) -> bool:
        """Whether the attributes of an object are looked at."""
        return isinstance(value, nn.Module | Tensor) or type(value).__module__.partition(".")[0] in self.homes

    def _rewinds(self) -> Iterator[Callable[[], None]]:
        objects: dict[int, Any] = {}
        yield from self._rewind(self.model, objects)
        for _, space, _ in self.spaces:
            yield functools.partial(_rename, space, _namespace(space))
            for value in _namespace(space).values():
                yield from self._rewind(value, objects)

    def _rewind(self, value: Any, objects: dict[int, Any]) -> Iterator[Callable[[], None]]:
        """What puts the content of one object back, in place, and of all that it holds."""
        if isinstance(value, PLAIN_TYPES) or id(value) in objects:
            return
        objects[id(value)] = value
        if isinstance(value, CONTAINERS):
            yield functools.partial(_refill, value, _content(value))
        elif isinstance(value, Tensor):
            yield functools.partial(_rewrite, value, value.detach().clone())
        elif isinstance(value, functools._lru_cache_wrapper):
            yield value.cache_clear
            return
        elif isinstance(value, CellType) and gc.get_referents(value):  # not an empty one
            yield functools.partial(setattr, value, "cell_contents", value.cell_contents)
        parts = [part for _, _, part in self._parts(value)]
        if hasattr(value, "__dict__") and not isinstance(value, OPAQUE_TYPES) and self._is_open(value):
            parts += [vars(value)[shelf] for shelf in SHELVES] if isinstance(value, nn.Module) else []
            parts.append(vars(value))
        for name in _slots(value):
            yield functools.partial(_reset, value, name, getattr(value, name))
        for part in parts:
            yield from self._rewind(part, objects)


def changed_names(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names under which two fingerprints differ."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _is_foreign(kind: type) -> bool:
    """Whether a class is neither torch's nor the language's own."""
    home = kind.__module__.partition(".")[0]
    return home in sys.modules and home != "torch" and home not in sys.stdlib_module_names - {"__main__"}


def _namespace(space: Any) -> dict[str, Any]:
    """What a class or file holds under names, but not what the language itself puts there."""
    return {
        name: value
        for name, value in vars(space).items()
        if not name.startswith(("__", "_abc_")) or isinstance(value, FunctionType)
    }


def _rename(space: Any, before: dict[str, Any]) -> None:
    now = _namespace(space)
    for name in now.keys() - before.keys():
        delattr(space, name)
    for name, value in before.items():
        if name not in now or now[name] is not value:
            setattr(space, name, value)


def _reset(value: Any, name: str, before: Any) -> None:
    """Put an attribute back if it is another: an object may refuse to have it set."""
    if getattr(value, name, _reset) is not before:
        setattr(value, name, before)


def _slots(value: Any) -> list[str]:
    """Attributes that an object of a class with slots has."""
    names = [vars(kind).get("__slots__", ()) for kind in type(value).__mro__ if _is_foreign(kind)]
    flat = [name for slot in names for name in ((slot,) if isinstance(slot, str) else slot)]
    return [name for name in flat if not name.startswith("__") and hasattr(value, name)]


def _rewrite(tensor: Tensor, before: Tensor) -> None:
    if tensor.shape != before.shape or not torch.equal(tensor.detach(), before):
        tensor.data = before.clone()


def _builtin_type(container: Any) -> Any:
    """The type of the language that a container is of: a class of its own may read and write in other ways."""
    return next(kind for kind in CONTAINERS if isinstance(container, kind))


def _content(container: Any) -> list[Any]:
    """What lies in a container; of a dict its pairs."""
    kind = _builtin_type(container)
    return list(kind.items(container) if issubclass(kind, dict) else kind.__iter__(container))


def _refill(container: Any, before: list[Any]) -> None:
    """Put the content back in place, if it is another."""
    kind, now = _builtin_type(container), _content(container)
    flat = ([part for item in each for part in item] if issubclass(kind, dict) else each for each in (now, before))
    if [id(part) for part in next(flat)] == [id(part) for part in next(flat)]:
        return
    kind.clear(container)
    if issubclass(kind, dict):
        for key, value in before:
            kind.__setitem__(container, key, value)
    else:
        (kind.update if kind is set else kind.extend)(container, before)


def _marks(leaves: Iterator[tuple[str, str, Any]]) -> dict[str, str]:
    """One fingerprint per name, of all its leaves in their order."""
    marks: dict[str, Any] = {}
    for name, kind, leaf in leaves:
        mark = marks.setdefault(f"{name.lstrip('.')} ({kind})", hashlib.sha256())
        if isinstance(leaf, Tensor):
            mark.update(f"{leaf.dtype} {tuple(leaf.shape)}".encode())
            mark.update(leaf.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        elif isinstance(leaf, torch.Generator):
            mark.update(leaf.get_state().numpy())
        else:
            mark.update(leaf.tobytes() if isinstance(leaf, np.ndarray) else repr(leaf).encode())
    return {name: mark.hexdigest() for name, mark in marks.items()}
