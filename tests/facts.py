"""What the kit's data holds, counted from the data: no test has a number of pictures in it."""

from helpers.images import load_folder

COLLECTION, QUERIES = load_folder(), load_folder(part="queries")
PICTURES, ASKED = len(COLLECTION.paths), len(QUERIES.paths)  # how many pictures, how many queries
KINDS = sorted({str(about["category"]) for about in COLLECTION.metadata.values()})
