"""A display of the progress of a run, computed from its events, for the command and for programs."""
