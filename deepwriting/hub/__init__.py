"""Everything that talks to the Hub, and a small Hub of one's own to talk to."""
