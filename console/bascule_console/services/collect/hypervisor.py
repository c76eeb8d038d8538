"""What a hypervisor of the old side can be asked and told: the seam between the run of a plan and any live source.

VMs are named by their UUID, because a name may be given to another VM meanwhile. Everything is asyncio; nothing here
blocks the loop. A source says each fault once: not reachable, refused, VM gone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from bascule.errors import BasculeError, RefusedError, UnreachableError
from bascule.estate.load import File

ON, OFF, GONE = "on", "off", "gone"
ALREADY_OFF, SHUT_DOWN, POWERED_OFF = "already off", "shut down by the guest", "powered off"

Ask = Callable[[str, bool], str]
"""Asks the operator: the question, and whether the answer may be seen while it is typed. It is called in the source's
own thread and may block; "" gives up."""


class SourceUnreachable(UnreachableError):
    """A source that does not answer, or whose connection died."""


class SourceRefused(RefusedError):
    """A source that does not let this user in, or do this."""


class SourceFault(BasculeError):
    """A source that tried and could not: a VM that does not start, a disk that cannot be read."""


class VmGone(SourceFault):
    """The source has no VM of this UUID any more."""


@dataclass(frozen=True, slots=True)
class SourceDisk:
    """One disk of a VM. `name` is the guest's device (`vda`), `format` as stored (`qcow2`, `raw`).

    `capacity` is the size the guest sees and `stored` the bytes that `read` will bring, both in bytes. `shared` when
    other VMs may write it too.
    """

    name: str
    path: str
    format: str
    capacity: int
    stored: int
    shared: bool = False


class Hypervisor(Protocol):
    """One open connection. Every method raises SourceUnreachable, SourceRefused or SourceFault, and nothing else."""

    @property
    def name(self) -> str:
        """Its URI as errors and documents show it: without any password."""
        ...

    async def files(self) -> list[File]:
        """All that it knows as documents for bascule.estate.load.load: secrets stripped, named by the URI."""
        ...

    async def power(self, uuid: str) -> str:
        """ON (paused too: it holds its address), OFF or GONE. Never raises VmGone."""
        ...

    async def shut_down(self, uuid: str, seconds: float) -> str:
        """Ask the guest to shut down, and after `seconds` (0: at once) take the power away.

        Returns ALREADY_OFF, SHUT_DOWN or POWERED_OFF, when the VM is off. Raises VmGone.
        """
        ...

    async def start(self, uuid: str) -> None:
        """Start it; one that runs already is left alone. Raises VmGone."""
        ...

    async def autostart(self, uuid: str, on: bool | None = None) -> bool:
        """Whether it starts with its host; with `on` it does, or does not, from now on. Raises VmGone."""
        ...

    async def disks(self, uuid: str) -> list[SourceDisk]:
        """Its disks in their order, without CD-ROMs and floppies. Raises VmGone."""
        ...

    def read(self, uuid: str, disk: SourceDisk) -> AsyncGenerator[bytes, None]:
        """The stored bytes of a disk from first to last, in pieces of at most 1 MiB; `disk.stored` bytes in all.

        The VM has to be off. Raises VmGone, SourceFault for a disk that is not there or ends early.
        """
        ...

    async def close(self) -> None:
        """End the connection; twice is once."""
        ...


async def connect(uri: str, *, write: bool = False, ask: Ask | None = None) -> Hypervisor:
    """Open a source by its URI (`qemu+ssh://root@host/system`, `test:///node.xml`): to read only, or to `write`.

    Credentials come from the keyring, else from `ask`; without `ask` nobody is asked. They are kept in the keyring
    only, and only when they were accepted. OpenSSH asks for itself, on the terminal, and only when `ask` is
    login.on_terminal: where an app has the terminal it gives up.

    Raises SourceUnreachable, SourceRefused, UsageError for a URI that is none.
    """
    from bascule_console.services.collect.libvirt import open_libvirt

    return await open_libvirt(uri, write=write, ask=ask)
