"""libvirt's errors as ours: what happened to which source, and what to do about it."""

from __future__ import annotations

import importlib
from typing import Any

from bascule.errors import BasculeError, UsageError
from bascule_console.services.collect.hypervisor import SourceFault, SourceRefused, SourceUnreachable, VmGone

PACKAGE = "python3-libvirt"
_FIXES = (
    ("Name or service not known", "check the host's name"),
    ("Could not resolve hostname", "check the host's name"),
    ("No such file or directory", "is libvirtd running there? its socket: ?socket=PATH in the URI"),
    ("Permission denied", "use a user who may; for ssh a key that needs no question: ssh -o BatchMode=yes HOST true"),
    ("Host key verification failed", "accept the host's key once: ssh HOST true"),
    ("Connection refused", "is libvirtd, or sshd, running and listening there?"),
    ("certificate", "its TLS certificates: see libvirt's remote page, or use qemu+ssh"),
)


def library() -> Any:
    """The module libvirt. Raises UsageError when it is not installed."""
    try:
        return importlib.import_module("libvirt")
    except ImportError as error:
        fix = f"apt install {PACKAGE}, or give files: virsh dumpxml VM > vm.xml"
        raise UsageError("live sources need libvirt's Python library", str(error), fix) from None


def opening(name: str, error: Any, login: Any) -> BasculeError:
    """Why a source did not open."""
    libvirt, text = library(), _text(error)
    code = error.get_error_code()
    if code in (libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_AUTH_CANCELLED, libvirt.VIR_ERR_AUTH_UNAVAILABLE):
        if login.unanswered:
            fix = "run it on a terminal, or keep the credentials in the keyring"
            return SourceRefused(f"{name} wants credentials", f"nobody answered: {login.unanswered}", fix)
        fix = "give the right user and password"
        if login.recalled:
            kept = " and ".join(repr(login.place(kind)) for kind in ("user", "password"))
            fix = f"those in the keyring are wrong: keyring del bascule NAME for {kept}, then again"
        return SourceRefused(f"{name} does not accept these credentials", text, fix)
    if code in (libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_XML_DETAIL, libvirt.VIR_ERR_NO_CONNECT):
        return UsageError(f"{name} cannot be opened", text, "check the URI: https://libvirt.org/uri.html")
    return SourceUnreachable(f"{name} cannot be reached", text, _fix(text))


def doing(name: str, what: str, error: Any, dead: str) -> BasculeError:
    """Why a source did not do `what`; `dead` says why its connection closed, "" when it did not."""
    libvirt, text = library(), _text(error)
    code = error.get_error_code()
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return VmGone(f"{name} has no such VM any more", f"{what}: {text}", "was it deleted, or moved to another host?")
    lost = code in (libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_NO_CLIENT)
    if dead or lost or error.get_error_domain() == libvirt.VIR_FROM_RPC:
        cause = f"{what}: {text}" + (f" ({dead})" if dead else "")
        return SourceUnreachable(f"the connection to {name} died", cause, "look at the host, then run it again")
    if code in (libvirt.VIR_ERR_OPERATION_DENIED, libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_ERR_AUTH_FAILED):
        return SourceRefused(f"{name} does not let this user {what}", text, "use a user who may")
    return SourceFault(f"{name} could not {what}", text, "look at the VM and at libvirtd's log on the host")


def _fix(text: str) -> str:
    low = text.lower()
    return next(
        (fix for word, fix in _FIXES if word.lower() in low), "check host, network and libvirtd; virsh -c URI list"
    )


def _text(error: Any) -> str:
    found = error.get_error_message() or str(error)
    return " ".join(str(found).split())
