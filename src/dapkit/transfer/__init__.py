"""One finished job into verified files and a manifest."""
