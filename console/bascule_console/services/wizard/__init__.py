"""The wizard acting: pages made from the answers by the services that the verbs use. No Textual.

`Wizard` is all that a screen or the line mode needs.
"""

from bascule_console.services.wizard.keep import state_path
from bascule_console.services.wizard.wizard import Wizard

__all__ = ["Wizard", "state_path"]
