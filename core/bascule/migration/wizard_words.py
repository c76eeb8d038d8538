"""What the wizard says at each step to somebody who walks it for the first time."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """`explains`: what the step is, why, and what happens next. `back`: what going back from here means."""

    title: str
    explains: tuple[str, ...]
    back: str


WORDS: dict[str, Words] = {
    "source": Words(
        "Source",
        (
            "Tell where the VMs are now: files that were exported from the old side, or a hypervisor that is asked.",
            (
                "Everything that follows is judged and planned from what is read here, so look whether all VMs and port"
                " groups are in the list."
            ),
            "Nothing is changed on the old side. Next, what was read is checked.",
        ),
        "this is the first step",
    ),
    "assess": Words(
        "Assess",
        (
            "Every VM is checked for what would break when it moves with its address, MAC and VLAN.",
            (
                "Four questions come first; what no evidence answers, only you can. What is unknown becomes known"
                " when you name its source here, or answer it."
            ),
            "An error holds the VMs that it is about back, not the others. Next, VLANs become Networks.",
        ),
        "back to the sources; your answers here are kept",
    ),
    "networks": Words(
        "Networks",
        (
            (
                "Each VLAN of the old side becomes part of a Network, with its subnet, an IPPool and a"
                " NetworkAttachmentDefinition, so that a VM finds the same VLAN on the cluster."
            ),
            (
                "What the cluster has already is kept and only added to. Where a subnet is from stands beside it; one"
                " that is assumed should be confirmed."
            ),
            "Nothing is applied yet. Next, each NIC gets its place.",
        ),
        "back to the checks; your answers here are kept",
    ),
    "identity": Words(
        "Identity",
        (
            "Each NIC keeps its MAC, its address and its VLAN; here is what the cluster will be asked for.",
            (
                "A VM is held back while something says that it would not be the same VM afterwards. Mend the cause, or"
                " take it all the same."
            ),
            "Nothing is applied yet. Next, its firewall rules.",
        ),
        "back to the Networks; your answers here are kept",
    ),
    "policies": Words(
        "Policies",
        (
            "On the old side a firewall may have decided who reaches a VM. On the cluster Calico policy does.",
            (
                "The old rules can be carried over: they are translated and both sides are compared over every class of"
                " packets, so that nothing opens or closes by accident. Without policies each VM is as open as its"
                " namespace."
            ),
            "Nothing is applied yet. Next, the order of the move.",
        ),
        "back to the identities; your answers here are kept",
    ),
    "waves": Words(
        "Waves",
        (
            (
                "VMs move in waves. Those that talk most to each other move together; the rest talks on across both"
                " sides, because both are on the same VLANs meanwhile."
            ),
            "A smaller wave is easier to watch and to take back; a larger one leaves fewer conversations that cross.",
            "Nothing is applied yet. Next, everything in one place.",
        ),
        "back to the policies; your answers here are kept",
    ),
    "review": Words(
        "Review",
        (
            "This is all that will be made or changed on the cluster, object by object.",
            (
                "Write it to a directory to keep it or to apply it by other means; or apply it from here:"
                " every object is first tried by the server and changes nothing then."
            ),
            "No VM is touched before the next step, in which they move wave by wave.",
        ),
        "back to the waves; what was applied stays applied and is in the journal (bascule journal undo)",
    ),
    "run": Words(
        "Run",
        (
            (
                "Each VM of a wave is shut down on the old side and proven silent, its disks are copied, and it starts"
                " on a node with the same address, MAC and VLAN. It is away from its shutdown until it answers again."
            ),
            (
                "Every action is in the journal, so a run that was interrupted goes on where it was. Until a move is"
                " accepted it can be rolled back: the VM then runs on the old side again."
            ),
            "Next, what talks to the VMs is compared with before.",
        ),
        "back to the review; no VM is moved by going back, a rollback does that",
    ),
    "accept": Words(
        "Accept",
        (
            "For each VM that moved: who talked to it before and who does now, what stopped, and what is new.",
            (
                "Sign off a VM or a whole wave when that is as it should be. What is signed off is recorded, and can no"
                " longer be rolled back from here; the source stays switched off where it was."
            ),
            "This is the last step.",
        ),
        "back to the run; what was signed off stays signed off",
    ),
}
