"""The interfaces of other libraries, on this engine."""
