"""A provider's module whose library is not installed."""

import no_such_package  # type: ignore[import-not-found]

X = no_such_package.X
