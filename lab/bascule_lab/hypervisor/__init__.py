"""The lab's old side: one libvirt hypervisor with VMs on the fabric's VLANs, which a migration leaves empty."""
