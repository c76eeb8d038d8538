"""Old firewall rule bases carried over to Calico tiers and policies, with a proof that they decide alike.

Importers (nsx, proxmox, nwfilter) read a source's documents into one ordered-rule model (`model`); `calico` writes it
as Tiers, GlobalNetworkPolicies, GlobalNetworkSets and labels; `rows` evaluates the model on its own, and `proof`
compares both over every class of packets. What cannot be carried is a leftover, never dropped silently.
"""
