"""The one reader of configuration."""
