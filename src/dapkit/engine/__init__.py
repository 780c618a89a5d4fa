"""The bulk work: many tables at once, resumable, checked. It tells events and never prints."""
