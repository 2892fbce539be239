"""Services: what nodes ask for by the name of a parameter, opened when first needed and closed whatever happens."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tallyline.errors import GraphError, RunFailed, what_exists

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping
    from types import TracebackType

__all__ = ["Service", "Services", "asking_like", "service", "wanted_services", "wrapped"]


_AS_NAMED: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is yet to be opened."""

    make: Callable[..., object]


def service(make: Callable[..., object]) -> Service:
    """Declare a service that `make` opens once a run, when it is first needed.

    What `make` returns is the service; if that is a context manager, the service is what it gives on entering, and
    it is left when the run ends. Parameters of `make` are services too.
    """
    return Service(make)


def wrapped(declared: object, around: Callable[[object], AbstractContextManager[object]]) -> Service:
    """Return a service, or a value that is one, with something around it for as long as it is open.

    >>> from contextlib import nullcontext
    >>> with Services({"rate": wrapped(1.1, lambda rate: nullcontext(print("opened", rate)))}) as services:
    ...     services["rate"]
    opened 1.1
    1.1
    """

    @contextmanager
    def make(**services: object) -> Iterator[object]:
        with ExitStack() as closing:
            made = declared.make(**services) if isinstance(declared, Service) else declared
            service: object = closing.enter_context(made) if isinstance(made, AbstractContextManager) else made
            closing.enter_context(around(service))
            yield service

    return Service(asking_like(declared, make))


def asking_like(declared: object, make: Callable[..., object]) -> Callable[..., object]:
    """Let `make` ask for the services that a declared one asks for."""
    if isinstance(declared, Service):
        make.__wrapped__ = declared.make  # type: ignore[attr-defined]  # where a signature is looked for
    return make


class Services:
    """The services of one run: values as they are, and factories declared with `service`.

    >>> with Services({"rate": 1.1, "double": service(lambda rate: rate * 2)}) as services:
    ...     services["double"]
    2.2
    """

    def __init__(self, declared: Mapping[str, object]) -> None:
        """Take the declared services; nothing is opened yet."""
        self._declared = dict(declared)
        self._opened: dict[str, object] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        """Begin the run."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened, in reverse order; a failure to close does not hide what ended the run."""
        try:
            self._closing.__exit__(kind, error, trace)
        except Exception as closing:
            said = f"a service failed when it was closed: {type(closing).__name__}: {closing}"
            if error is None:
                raise RunFailed(said) from closing
            error.add_note(said)

    def __getitem__(self, name: str) -> object:
        """Return the service of that name, opened if it was not yet."""
        if name not in self._opened:
            self._opened[name] = self._open(name)
        return self._opened[name]

    def check(
        self,
        node: str,
        work: Callable[..., object],
        renamed: Mapping[str, str] = _AS_NAMED,
        *,
        takes_row: bool,
    ) -> None:
        """Refuse work whose services, or the services of those, do not exist; `renamed` maps parameters to names."""
        for parameter in self._wanted(work, renamed, takes_row=takes_row):
            self._check_service(renamed.get(parameter, parameter), node, ())

    def bound(
        self, work: Callable[..., object], renamed: Mapping[str, str] = _AS_NAMED, *, takes_row: bool
    ) -> dict[str, object]:
        """Return the keyword arguments that give `work` its services."""
        wanted = self._wanted(work, renamed, takes_row=takes_row)
        return {parameter: self[renamed.get(parameter, parameter)] for parameter in wanted}

    def _check_service(self, name: str, asked_by: str, opening: tuple[str, ...]) -> None:
        if name not in self._declared:
            existing = what_exists(name, self._declared)
            msg = f'{asked_by} asks for the service "{name}", which does not exist; {existing}'
            raise GraphError(msg)
        if name in opening:
            circle = [*opening[opening.index(name) :], name]
            msg = f'the service "{name}" cannot be opened before itself: {" asks for ".join(circle)}'
            raise GraphError(msg)
        declared = self._declared[name]
        if isinstance(declared, Service):
            for wanted in self._wanted(declared.make, _AS_NAMED, takes_row=False):
                self._check_service(wanted, f'the service "{name}"', (*opening, name))

    def _wanted(self, work: Callable[..., object], renamed: Mapping[str, str], *, takes_row: bool) -> list[str]:
        return wanted_services(work, {*self._declared, *renamed}, takes_row=takes_row)

    def _open(self, name: str) -> object:
        declared = self._declared[name]
        if not isinstance(declared, Service):
            return declared
        made = declared.make(**self.bound(declared.make, takes_row=False))
        if isinstance(made, AbstractContextManager):
            return self._closing.enter_context(made)
        return made


def wanted_services(work: Callable[..., object], existing: Container[str], *, takes_row: bool) -> list[str]:
    """Name the parameters of `work` that services fill: all but the row, and but defaults that no service replaces.

    >>> wanted_services(lambda row, shop, limit=3: None, {"shop"}, takes_row=True)
    ['shop']
    """
    try:
        parameters = list(inspect.signature(work).parameters.values())
    except (TypeError, ValueError):  # some built-ins tell no signature; they want no services
        return []
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY)]
    if takes_row and parameters and parameters[0] in named:
        named = named[1:]
    return [p.name for p in named if p.name in existing or p.default is p.empty]
