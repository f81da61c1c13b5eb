"""``gaovm.driver.v1``: what daemon and driver say to each other.

The protocol outlives an upgrade: a newer daemon speaks to drivers that older code started. So
unknown fields are ignored in both directions, every field that is added later has a default, and
a field never changes its meaning.
"""
