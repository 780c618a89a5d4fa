"""A local fake of the service with synthetic data. It shares no code with the client but `spec`, `locks` and `errors`.

`service` speaks HTTP, `faults` decides which requests fail, and `data` computes rows and writes them as objects.
"""
