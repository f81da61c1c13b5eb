"""Driver processes: the zygotes that fork them, the link to each, and who holds a VM's lock."""
