"""A hash-chained record of what was done, by whom, and how to undo it: encode and verify. No files here."""

from bascule.journal.chain import GENESIS, Fault, Verdict, decode, encode, verify
from bascule.journal.entry import Entry, Record, Reference, Undo

__all__ = ["GENESIS", "Entry", "Fault", "Record", "Reference", "Undo", "Verdict", "decode", "encode", "verify"]
