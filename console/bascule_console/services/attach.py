"""Attaching a NIC to a VM: the template gets a network, an interface and the address annotation, by the apply pipeline.

The template is a whole: it is applied with everything it had, at the version that was read, so that nobody's change in
between is lost and nothing that Bascule applied before is taken away. NIC lists are atomic and belong to whoever made
the VM (kubectl, Forklift, GitOps): they are taken over, and the review says from whom.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

from bascule.errors import RefusedError
from bascule.resources.kubevirt import Instance, VirtualMachine, qualified
from bascule_console.services.manifests import Document
from bascule_console.services.proposal import Note, Proposal, of_document
from bascule_console.services.session import Session
from bascule_console.store.documents import portable
from bascule_console.store.nics import (
    STAND_IN_WORDS,
    NewNic,
    free_name,
    played_by_stand_in,
    stable_mac,
    takes_effect,
    with_nic,
)
from bascule_kube import Cluster
from bascule_kube.errors import NotFound
from bascule_kube.kinds import VM, VMI

EFFECT_WAIT_S = 2.0
POLL_S = 0.2


class AttachRefused(RefusedError):
    """A NIC that cannot be attached as asked."""


@dataclass(frozen=True, slots=True)
class Attach:
    """A NIC with its name and MAC chosen, and the VM's document that has it. `running` is the VM's instance, if any."""

    namespace: str
    vm: str
    nic: NewNic
    document: Document
    running: Instance | None
    stand_in: bool

    @property
    def expected(self) -> str:
        """When it will take effect, as far as can be said before."""
        if self.running is None:
            return "at the next start"
        return "after a restart" if self.stand_in else "after a restart, or at once where KubeVirt hot-plugs it"


async def choose(
    cluster: Cluster, namespace: str, vm: str, nad: str, *, nic: str = "", mac: str = "", ip: str = ""
) -> Attach:
    """Choose what was left open; changes nothing. Raises AttachRefused, NotFound, Unreachable."""
    document = await cluster.get(VM, vm, namespace)
    vmi = await _instance(cluster, namespace, vm)
    machine = VirtualMachine.of(document)
    name = nic or free_name(machine.nics)
    if any(each.name == name for each in machine.nics):
        raise AttachRefused(
            f"{namespace}/{vm} has a NIC {name} already", fix="name another with --nic, or leave it out"
        )
    wanted = NewNic(name, qualified(nad, namespace), mac.lower() or stable_mac(f"{namespace}/{vm}", name), ip)
    changed = with_nic(portable(document), wanted)
    changed["metadata"] = {**changed["metadata"], "resourceVersion": document["metadata"]["resourceVersion"]}
    source = Document(changed, f"attach {name} to {namespace}/{vm}", {}, take_over=True)
    return Attach(namespace, vm, wanted, source, Instance.of(vmi) if vmi else None, played_by_stand_in(vmi))


async def propose(session: Session, namespace: str, vm: str, nad: str, *, mac: str, ip: str) -> Proposal:
    """The attachment as the console's review shows it. Raises as `choose`."""
    attach = await choose(session.cluster, namespace, vm, nad, mac=mac, ip=ip)
    found = await of_document(session, attach.document)
    notes = [Note("info", "", f"takes effect {attach.expected}")]
    notes += [Note("warning", "", STAND_IN_WORDS)] if attach.stand_in else []
    title = f"Attach {attach.nic.name} on {attach.nic.nad} to {namespace}/{vm}"
    done = f"{attach.nic.name} attached to {namespace}/{vm}: takes effect {attach.expected}"
    return replace(found, title=title, done=done, notes=(*found.notes, *notes))


async def effect(cluster: Cluster, attach: Attach) -> str:
    """When the NIC is in effect, once it is in the template. Waits a moment for a hotplug to show itself."""
    deadline = time.monotonic() + EFFECT_WAIT_S
    while True:
        vm = VirtualMachine.of(await cluster.get(VM, attach.vm, attach.namespace))
        vmi = await _instance(cluster, attach.namespace, attach.vm)
        words = takes_effect(vm, Instance.of(vmi) if vmi else None, attach.nic.name)
        if words != "after a restart" or attach.stand_in or time.monotonic() >= deadline:
            return words
        await asyncio.sleep(POLL_S)


async def _instance(cluster: Cluster, namespace: str, vm: str) -> dict[str, Any] | None:
    try:
        return await cluster.get(VMI, vm, namespace)
    except NotFound:
        return None
