"""What the host has standing about: notifiers, a printer, a folder, sensors, a camera, webhooks.

Each kind is a file with its settings, what may be sent to it or asked of it, and what it does. An
agent never touches a device: `held` does, for whoever was granted the name that the host gave it.
"""
