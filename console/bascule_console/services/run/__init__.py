"""The run of a plan: from VMs on the old side to VMs on the cluster with the same address, MAC and VLAN.

`Runner` is all that a verb, the wizard or a screen needs; `opened` makes one.
"""

from bascule_console.services.run.events import Tell, Told
from bascule_console.services.run.loaded import Loaded, load
from bascule_console.services.run.opening import opened
from bascule_console.services.run.runner import Runner, status

__all__ = ["Loaded", "Runner", "Tell", "Told", "load", "opened", "status"]
