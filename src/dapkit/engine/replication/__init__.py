"""Tables of the service into a database, and kept equal there."""
