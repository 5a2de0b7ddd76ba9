"""An emulated AWS that any stack can be rehearsed against, unchanged."""
