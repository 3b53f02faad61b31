"""The benchmark's modules import one another by name, as its programs do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
