"""`python -m ghostroll_display`: the same as `ghostroll-display`."""

import sys

from ghostroll_display.service import main

sys.exit(main())
