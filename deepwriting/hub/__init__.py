"""Releases: everything that talks to the Hub, whoever looks at what was released, and a small Hub of one's own."""
