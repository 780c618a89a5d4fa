"""Fault injection: the rules that decide which requests fail, and the responses that clients then get."""
