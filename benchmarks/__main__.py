"""Lists the commands of every package, as `isobudget` does."""

import sys

from isobudget.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
