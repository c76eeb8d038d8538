"""vInfo: the VMs, and how rows of other sheets find theirs.

Books merged from several vCenters hold one name several times. A VM is therefore its server and its id; a name finds
it only where the name is the only one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from bascule.estate.cells import PLACEHOLDER, addresses, number, yes_no
from bascule.estate.model import OFF, ON, SUSPENDED, Vm
from bascule.estate.sheet import Sheet

_POWER = {
    **dict.fromkeys(("poweredon", "on", "running", "eingeschaltet"), ON),
    **dict.fromkeys(("poweredoff", "off", "shutoff", "shut off", "stopped", "ausgeschaltet"), OFF),
    **dict.fromkeys(("suspended", "paused", "angehalten"), SUSPENDED),
}
_TOOLS = {
    **dict.fromkeys(("running", "toolsok", "toolsold", "guesttoolsrunning"), "running"),
    **dict.fromkeys(("notrunning", "toolsnotrunning", "toolsnotinstalled", "guesttoolsnotrunning"), "not running"),
}
MORE_THAN_ONE = "several VMs have this name, and the row has neither VM ID nor VM UUID"
NAMELESS = "the name is the placeholder 'VM' and no id tells which VM is meant"
FIX_ID = "export with RVTools 4, whose sheets carry VM ID and VI SDK UUID"


def power(cell: str) -> str:
    """on, off, suspended, or "" for what is none of them."""
    return _POWER.get(cell.lower().replace(" ", ""), "")


def server_of(sheet: Sheet) -> list[str]:
    """Which vCenter each row is of: its UUID where there is one, else its name."""
    return [uuid or name for uuid, name in zip(sheet.texts("server"), sheet.texts("server_name"), strict=True)]


class Roll:
    """The VMs by every name they go by."""

    def __init__(self) -> None:
        self.vms: dict[str, Vm] = {}
        self._by: dict[tuple[str, str, str], list[str]] = defaultdict(list)

    def add(self, vm: Vm) -> bool:
        """Take a VM in; False when its key is there already."""
        if vm.key in self.vms:
            return False
        self.vms[vm.key] = vm
        for word, value in (("id", vm.id), ("uuid", vm.uuid), ("name", vm.name)):
            if value:
                self._by[word, vm.server, value].append(vm.key)
                if vm.server:
                    self._by[word, "", value].append(vm.key)
        return True

    def find(self, server: str, identity: str, uuid: str, name: str) -> tuple[str, str]:
        """The key of the VM that a row is about, or "" and why not."""
        for word, value in (("id", identity), ("uuid", uuid), ("name", name if name != PLACEHOLDER else "")):
            found = self._by.get((word, server, value)) if value else None
            if found and word == "name" and len(found) > 1:
                return "", MORE_THAN_ONE
            if found and len(found) == 1 and not (word == "name" and identity and self.vms[found[0]].id):
                return found[0], ""
        if not name or name == PLACEHOLDER:
            return "", NAMELESS
        return "", f"VM {name} is not in vInfo"

    def lines(self, sheet: Sheet) -> Iterable[tuple[int, str]]:
        """Each row of a sheet with the key of its VM; rows without one are rejected."""
        columns = zip(server_of(sheet), sheet.texts("id"), sheet.texts("uuid"), sheet.names("vm"), strict=True)
        for at, (server, identity, uuid, name) in enumerate(columns):
            key, why = self.find(server, identity, uuid, name)
            if key:
                yield at, key
            elif not skipped(sheet, at):
                sheet.reject(at, why, FIX_ID if why != MORE_THAN_ONE else "give the row its VM ID")


def skipped(sheet: Sheet, at: int) -> bool:
    """Is the row blank, or the header once more? Neither holds anything; the latter is noted."""
    if sheet.is_blank(at):
        return True
    if sheet.is_header(at):
        sheet.reject(at, "the header stands here once more", "nothing to do: the book was merged by hand")
        return True
    return False


def read_vms(sheet: Sheet, roll: Roll) -> None:
    """Rows of a sheet as VMs: vInfo, or another with the columns of VMs where a book has no vInfo."""
    servers, names = server_of(sheet), sheet.names("vm")
    columns = {name: sheet.texts(name) for name in _TEXTS}
    cpus, memory = sheet.values("cpus", number, 0), sheet.values("memory", number, 0)
    template = sheet.values("template", yes_no, None)
    placeholder = sheet.values("placeholder", yes_no, None)
    for at, name in enumerate(names):
        row = {each: column[at] for each, column in columns.items()}
        if name in ("", PLACEHOLDER):
            if not skipped(sheet, at):
                sheet.reject(at, "the VM has no name" if not name else NAMELESS, "name it, then export again")
            continue
        if name == sheet.header("vm") and skipped(sheet, at):
            continue
        four, six, bad = addresses(row["ip"])
        if bad:
            sheet.reject(at, f"{bad[0][:40]!r} is no address", "correct the cell", "ip")
        vm = Vm(
            key=_key(servers[at], row["id"], row["uuid"] or row["bios"], name),
            name=name,
            server=servers[at],
            id=row["id"],
            uuid=(row["uuid"] or row["bios"]).lower(),
            power=power(row["power"]),
            template=bool(template[at]),
            placeholder=bool(placeholder[at]),
            cpus=cpus[at],
            memory_mib=memory[at],
            os=row["os_tools"] or row["os_config"],
            dns_name=row["dns"],
            tools=_TOOLS.get(row["guest"].lower().replace(" ", ""), ""),
            host=row["host"],
            cluster=row["cluster"],
            datacenter=row["datacenter"],
            folder=row["folder"],
            firmware=row["firmware"].lower(),
            addresses=four + six,
            place=sheet.place(at),
        )
        if not roll.add(vm):
            sheet.reject(at, f"VM {name} stands here twice ({roll.vms[vm.key].place})", "remove one of the rows")


_TEXTS = (
    *("id", "uuid", "bios", "power", "os_tools", "os_config", "dns", "guest", "host", "cluster", "datacenter"),
    *("folder", "firmware", "ip"),
)


def read_tools(sheet: Sheet, roll: Roll) -> None:
    """vTools: whether the guest's tools run."""
    states = sheet.texts("tools")
    for at, key in roll.lines(sheet):
        found = _TOOLS.get(states[at].lower().replace(" ", ""), "")
        if found:
            roll.vms[key] = replace(roll.vms[key], tools=found)


def read_tags(sheet: Sheet, roll: Roll) -> None:
    """Custom attributes, the tags of the estate: RVTools writes their columns between Annotation and Datacenter."""
    first, last = sheet.position("annotation"), sheet.position("datacenter")
    columns = [(name, sheet.column(column)) for name, column in sheet.extra if 0 <= first < column < last]
    if not columns:
        return
    servers, ids, uuids, names = server_of(sheet), sheet.texts("id"), sheet.texts("uuid"), sheet.names("vm")
    for at in range(len(sheet)):
        key, _ = roll.find(servers[at], ids[at], uuids[at], names[at])
        tags = tuple((name, values[at]) for name, values in columns if values[at])
        if key and tags:
            roll.vms[key] = replace(roll.vms[key], tags=tags)


def _key(server: str, identity: str, uuid: str, name: str) -> str:
    return f"{server}/{identity or uuid.lower() or name}"
