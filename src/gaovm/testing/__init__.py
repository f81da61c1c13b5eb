"""The fakes that GaoVM ships: replacements at its own boundaries, for tests of any project.

``fake_qemu`` replaces QEMU (monitor, console, agent port, display), ``fake_agent`` the guest's
agent, ``fake_vnc`` the display's server, ``fake_driver`` a driver, inside the daemon's process.
``toy`` is a second back end, and ``fake_machine`` what its program shares with ``fake_qemu``.
``floods`` is what a hostile guest sends; ``connections`` makes pairs of connections.

May import: anything; the fakes of one side do not import the other. Must not: be imported by
product code.
"""
