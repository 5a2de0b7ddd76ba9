"""The version of infra-orch; the release workflow checks it against the tag."""

__version__ = "0.1.0"
