"""Which release of the workflow this is."""

VERSION = "0.1.0"
