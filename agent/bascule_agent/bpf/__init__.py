"""The BPF side of the agent: port.c, its build in a child process, and pinned maps and programs by raw bpf(2).

`build` is the only module that loads bcc and is only ever run as `python -m bascule_agent.bpf.build`.
"""
