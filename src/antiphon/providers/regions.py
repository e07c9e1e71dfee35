"""Languages for vendors that want a region with them."""

from __future__ import annotations

from babel.core import get_global


def with_region(language: str) -> str:
    """A BCP 47 tag with a region: `en` -> `en-US`, `de` -> `de-DE`; others are left as they are.

    The region is the one where most of its speakers are, by Unicode's likely subtags.
    """
    tag = language.strip().replace("_", "-")
    likely = get_global("likely_subtags").get(tag.lower(), "")
    if "-" in tag or not likely:
        return tag
    return f"{tag.lower()}-{likely.rpartition('_')[2]}"
