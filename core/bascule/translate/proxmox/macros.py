"""Proxmox firewall macros: (protocol, destination ports) pairs under one name. Source: pve-firewall's macro list."""

from __future__ import annotations

from bascule.translate.model import ANY_PORT, ICMP, TCP, UDP, Service

_TCP = {
    "Auth": "113", "BGP": "179", "CVS": "2401", "Citrix": "1494", "DAAP": "3689", "Distcc": "3632", "FTP": "21",
    "Finger": "79", "Git": "9418", "Gnutella": "6346", "HKP": "11371", "HTTP": "80", "HTTPS": "443", "IMAP": "143",
    "IMAPS": "993", "IRC": "6667", "Jetdirect": "9100", "LDAP": "389", "LDAPS": "636", "MSNP": "1863", "MSSQL": "1433",
    "Mail": "25,465,587", "Munin": "4949", "MySQL": "3306", "NNTP": "119", "NNTPS": "563", "POP3": "110",
    "POP3S": "995", "PostgreSQL": "5432", "Printer": "515", "RDP": "3389", "Rsync": "873", "SMTP": "25",
    "SMTPS": "465", "SPAMD": "783", "SSH": "22", "SVN": "3690", "SPICEproxy": "3128", "Squid": "3128",
    "Submission": "587", "Telnet": "23", "Telnets": "992", "VNC": "5900:5999", "VNCL": "5500", "Web": "80,443",
    "Webcache": "8080", "Webmin": "10000", "Whois": "43", "PMG": "8006", "Ceph": "3300,6789,6800:7300",
}  # fmt: skip
_UDP = {
    "DHCPfwd": "67:68", "IPsecnat": "500,4500", "L2TP": "1701", "NTP": "123", "OpenVPN": "1194", "RIP": "520",
    "TFTP": "69", "MDNS": "5353",
}  # fmt: skip
_BOTH = {"DNS": "53", "NFS": "2049", "Syslog": "514", "Time": "37", "RNDC": "953", "Rdate": "37"}
_PROTOCOLS = {"GRE": (47,), "IPIP": (94,), "OSPF": (89,), "ESP": (50,), "AH": (51,)}
_MIXED = {
    "Ping": (Service(ICMP, (8, 8)),),
    "PPtP": (Service(47), Service(TCP, ANY_PORT, (1723, 1723))),
    "IPsec": (Service(UDP, (500, 500), (500, 500)), Service(50)),
    "SNMP": (Service(UDP, ANY_PORT, (161, 162)), Service(TCP, ANY_PORT, (161, 161))),
    "SMB": (
        Service(UDP, ANY_PORT, (135, 135)), Service(UDP, ANY_PORT, (445, 445)), Service(UDP, ANY_PORT, (137, 139)),
        Service(UDP, (137, 137), (1024, 65535)), Service(TCP, ANY_PORT, (135, 135)),
        Service(TCP, ANY_PORT, (139, 139)), Service(TCP, ANY_PORT, (445, 445)),
    ),
    "Trcrt": (Service(UDP, ANY_PORT, (33434, 33524)), Service(ICMP, (8, 8))),
}  # fmt: skip


def _ports(listed: str) -> list[tuple[int, int]]:
    spans = [each.partition(":") for each in listed.split(",")]
    return [(int(low), int(high or low)) for low, _, high in spans]


def _table() -> dict[str, tuple[Service, ...]]:
    found = dict(_MIXED)
    for protocols, names in (((TCP,), _TCP), ((UDP,), _UDP), ((TCP, UDP), _BOTH)):
        for name, listed in names.items():
            found[name] = tuple(Service(each, ANY_PORT, span) for each in protocols for span in _ports(listed))
    found |= {name: tuple(Service(each) for each in numbers) for name, numbers in _PROTOCOLS.items()}
    return found


MACROS = {name.lower(): services for name, services in _table().items()}
"""By name in lower case, as Proxmox takes them."""
