"""The fake service over HTTP: API routes, object store, control API, and the state that they share."""
