"""PURE: what the service says and when. No clock, socket, file or log; the JSON codec is the only third party."""
