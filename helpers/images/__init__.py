"""Files -> safe RGB pictures, and what is known about them. The only room that opens picture files."""

from helpers.images.errors import ImageError, MetadataError, shortened
from helpers.images.folders import ImageFolder, load_categories, load_folder
from helpers.images.opening import Source, called, open_image
from helpers.settings import DATA
