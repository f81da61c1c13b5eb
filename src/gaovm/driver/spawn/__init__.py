"""How driver processes start: the warm zygote, its rehearsal, and the fork.

May import: what ``driver`` may, and the driver itself.
"""
