"""How fast, how exact, how large: `make bench` measures the kit beside baselines, in one run on one machine.

Each module measures one thing and returns tables; `__main__.py` writes them to RESULTS.md and results.json.
"""
