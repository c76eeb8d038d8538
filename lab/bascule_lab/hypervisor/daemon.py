"""libvirtd in a namespace and a mount namespace of its own.

The daemon, not `qemu:///embed`: the embedded driver lives inside the process that opened it, and a migration's source
must be reached by URI from a console that has nothing to do with the lab. /etc/libvirt must exist (libvirt-clients
brings it); everything else that libvirtd wants to find is made here, privately, and goes with the lab.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bascule_agent.netlink import in_netns
from bascule_lab.agents import direct_environment
from bascule_lab.guests.qemu import NICE
from bascule_lab.hypervisor.errors import OldSideError
from bascule_lab.hypervisor.places import Places, capabilities_cache
from bascule_lab.hypervisor.virt import PACKAGES, connection

ENTER = Path(__file__).with_name("enter.sh")
# finding out what QEMU can do takes ten seconds and more on a busy machine, once (capabilities_cache)
READY_TIMEOUT_S = 90.0
_POLL_S = 0.05
_INSTALL = f"apt-get install {PACKAGES}"

# no TLS, no TCP, nobody asked for a password: who may open the socket may use it, and its directory is root's
LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 0
unix_sock_dir = "{root}"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:stderr"
"""
# no cgroups and no namespaces of QEMU's own, and its output to a file, which else would need virtlogd
QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
dynamic_ownership = 0
remember_owner = 0
"""
# the QEMU driver does not start without this user, whoever QEMU then runs as
PASSWD = "root:x:0:0:root:/root:/bin/sh\nlibvirt-qemu:x:64055:64055::/var/lib/libvirt:/bin/false\n"
GROUP = "root:x:0:\nkvm:x:64054:\nlibvirt-qemu:x:64055:\n"


def write_files(places: Places) -> None:
    """Make the daemon's directories and files."""
    for directory in ("private/etc", "private/lib", "private/log", "images", "serial"):
        (places.root / directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    capabilities_cache().mkdir(parents=True, exist_ok=True)
    places.configuration.write_text(LIBVIRTD_CONF.format(root=places.root))
    (places.private / "etc" / "qemu.conf").write_text(QEMU_CONF)
    (places.private / "passwd").write_text(PASSWD)
    (places.private / "group").write_text(GROUP)


def start(places: Places, netns: str) -> subprocess.Popen[bytes]:
    """Start libvirtd in `netns` and wait until it answers. Blocking. Raises OldSideError; nothing runs then."""
    line = ["nice", "-n", str(NICE), "unshare", "--mount", "--propagation", "slave"]
    line += ["sh", str(ENTER), str(places.root), str(capabilities_cache())]

    def spawn() -> subprocess.Popen[bytes]:
        with places.log.open("ab") as log:
            return subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=direct_environment(),
            )

    try:
        process = in_netns(netns, spawn)
    except OSError as error:
        raise OldSideError("libvirtd cannot be started", str(error), _INSTALL) from error
    try:
        _wait(places, process)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _wait(places: Places, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not _answers(places):
        if process.poll() is not None:
            tail = " / ".join(places.log.read_text(errors="replace").splitlines()[-4:])
            raise OldSideError("libvirtd ended as it started", tail or f"exit code {process.returncode}", _INSTALL)
        if time.monotonic() > deadline:
            raise OldSideError("libvirtd does not answer", f"{READY_TIMEOUT_S:.0f} s passed", f"see {places.log}")
        time.sleep(_POLL_S)


def _answers(places: Places) -> bool:
    if not (places.root / "libvirt-sock").exists():
        return False
    try:
        with connection(places):
            return True
    except OldSideError:
        return False
