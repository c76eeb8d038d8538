"""What plays KubeVirt, the scheduler, Multus and Calico's IPAM in the lab. Stand-ins, each called so on its objects.

They keep the real components' contracts (objects, phases, annotations, order), not their code: docs/lab.md lists
what each leaves out.
"""
