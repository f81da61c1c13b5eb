"""The fakes that GaoVM ships: replacements at its own boundaries, for tests of any project.

``fake_qemu`` replaces QEMU (monitor, console, agent port, display), ``fake_agent`` the guest's
agent, ``fake_vnc`` the display's server.

May import: anything below the daemon and the driver. Must not: be imported by product code.
"""
