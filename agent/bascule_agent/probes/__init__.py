"""Probes of one address from this node: ICMP echo, ARP and a TCP echo session, reported as ProbeBatch messages."""

from bascule_agent.probes.arp import ArpProber, Way
from bascule_agent.probes.errors import ProbeError, ProbeLimitError, ProbeSocketError
from bascule_agent.probes.icmp import IcmpProber
from bascule_agent.probes.service import Prober
from bascule_agent.probes.tcp_echo import TcpEchoProber

__all__ = [
    "ArpProber",
    "IcmpProber",
    "ProbeError",
    "ProbeLimitError",
    "ProbeSocketError",
    "Prober",
    "TcpEchoProber",
    "Way",
]
