"""The old side as data: VMs, NICs, port groups, VLANs, switches, hosts and disks, and the parsers of its documents.

`bascule.estate.load.load` reads files of any kind into one `Estate`; `bascule.estate.document` writes and reads it as
JSON. Nothing here touches a file system or a network, and nothing is guessed: what a file does not say stays empty.
"""
