"""Releases: everything that talks to the Hub, and whoever looks at what was released."""
