"""Named disks: they belong to no VM and outlive those that use them.

``registry`` makes, changes and removes them; ``disk_files`` has their files. Which VMs mean them
says ``daemon.vms.additional_disks``.
"""
