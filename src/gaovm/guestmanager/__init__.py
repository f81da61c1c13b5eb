"""Work inside the guest, through its agent: the channel, HTTP/2 on it, and one file per noun.

Every call takes its connection as an argument and keeps no state. The guest is not trusted: this
package bounds and validates what it sends, and a guest can only fail its own VM.

May import: ``errors``, ``spec``, ``aio``, msgspec, h2. Must not: know a hypervisor, a driver or a
daemon; decide anything.
"""
