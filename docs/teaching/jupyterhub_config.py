"""A JupyterHub for a class with this kit: docs/teaching/hub.md. Start: `jupyterhub -f jupyterhub_config.py`."""

import os
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  JupyterHub defines it where it reads this file

KIT = Path(os.environ.get("MEMORA_KIT", "/srv/memora/kit"))  # the student's edition, set up with `make setup`
DATA = Path(os.environ.get("MEMORA_DATA", "/srv/memora/data"))  # a folder for each student's Memora

# Everybody's kernels run in the kit's environment. Each student's Memora has a folder of its own.
c.Spawner.environment = {
    "MEMORA_HOME": lambda spawner: str(DATA / spawner.user.name),
    "JUPYTER_PATH": str(KIT / ".venv" / "share" / "jupyter"),
    "OMP_NUM_THREADS": "2",  # a network otherwise takes all cores for each student
}
# Photographs of more than 10 MB reach the search panel.
c.Spawner.args = ["--ServerApp.tornado_settings={'websocket_max_message_size': 104857600}"]
c.Spawner.start_timeout = 120
# Held by spawners that can (systemd, Docker, Kubernetes); the simple one ignores them.
c.Spawner.mem_limit = "3G"
c.Spawner.cpu_limit = 2

# Who may come in, and as whom servers run: replace both by your school's.
c.JupyterHub.spawner_class = "simple"  # all servers run as the user who started the hub
c.JupyterHub.authenticator_class = "dummy"  # any name is let in, with the password from the environment
c.DummyAuthenticator.password = os.environ.get("MEMORA_HUB_PASSWORD", "")
c.Authenticator.allow_all = bool(c.DummyAuthenticator.password)  # nobody without one
