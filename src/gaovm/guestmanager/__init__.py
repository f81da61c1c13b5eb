"""Work inside the guest, through its agent: one file per noun, above what carries the calls.

Every call takes its connection as an argument and keeps no state. The guest is not trusted: this
package bounds and validates what it sends, and a guest can only fail its own VM.

May import: ``errors``, ``spec``, ``aio``, msgspec, h2. Must not: know a hypervisor, a driver or a
daemon; decide anything.
"""
