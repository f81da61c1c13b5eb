"""The display of a VM, as its driver has it: viewers, screenshots, and the window's process.

May import: what ``driver`` may. Must not: load Qt, which only the window's own process does.
"""
