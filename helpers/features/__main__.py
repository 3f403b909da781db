"""`make models`: `python -m helpers.features` fetches DINOv2, `python -m helpers.features clip` CLIP."""

import sys

from helpers.features.weights import HUB, ModelUnavailableError, fetch

asked = sys.argv[1] if len(sys.argv) > 1 else "dinov2-small"
if asked not in HUB:
    sys.exit(f"There is no model {asked!r} to fetch: choose one of {', '.join(HUB)}.")
try:
    print(f"{HUB[asked].repository} is in {fetch(asked)}")
except ModelUnavailableError as error:
    sys.exit(str(error))
