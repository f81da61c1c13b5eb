"""The fakes we ship: stand-ins at our own boundaries, for tests of ours and of others.

``fake_qemu`` stands for QEMU (monitor, console, agent port, display), ``fake_agent`` for the agent
of the guest, ``fake_vnc`` for the display's server.

May import: anything below the daemon and the driver. Must not: be imported by what is shipped.
"""
