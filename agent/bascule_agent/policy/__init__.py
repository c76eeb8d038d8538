"""Label policy in force on this node's NICs: documents in, map contents out, hits and connections back.

`watch` knows the cluster's policies and endpoints, `enforce` compiles what this node's NICs need and swaps it in,
`maps` is the kernel's side, `hits` counts, `connections` are handed over; `policies` is what the other rooms ask.
"""
