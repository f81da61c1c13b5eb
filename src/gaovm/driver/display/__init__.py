"""A VM's display, as seen by its driver: viewers, screenshots, and the window's process.

May import: what ``driver`` may. Must not: load Qt, which only the window's own process does.
"""
