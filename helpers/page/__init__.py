"""The app: search by image as a page, without code, also in folders of one's own. `make app` runs it."""
