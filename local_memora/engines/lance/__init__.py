"""The embedded engine: LanceDB in a folder."""
