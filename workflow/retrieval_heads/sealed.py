"""Settings that have text of the user's, as parameters of rules.

Snakemake writes parameters into its report as Python shows them, with nothing escaped: a label could end the page's
script and begin one of its own. So such settings are shown by a digest, which also tells Snakemake when they change.
"""

import json

from retrieval_heads.digests import short_digest


class Sealed(dict):
    """A dictionary that is shown by the digest of what it holds, in its order."""

    def __repr__(self) -> str:
        return f"sealed {short_digest(json.dumps(self))}"
