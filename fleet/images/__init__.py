"""Which runtime image, which tag, how it is built."""
