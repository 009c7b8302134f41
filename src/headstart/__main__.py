"""``python -m headstart``: the command line, also for launchers of several processes."""

import sys

from headstart.cli import main

if __name__ == "__main__":
    sys.exit(main())
