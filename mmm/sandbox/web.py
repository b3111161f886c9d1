"""mmm_web on the machine of a sandbox's monitor, with a door to it, so that a browser out here can open it."""

from mmm.sandbox import door
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import build
from mmm.sandbox.machines.machine import SandboxError


def start_web(sandbox: Sandbox) -> str:
    """Start mmm_web and return the URL of its page; raises SandboxError and OSError."""
    started = sandbox.monitor.run([build.program("mmm_web")], check=False)
    if started.returncode:
        raise SandboxError(started.stderr.strip() or f"mmm_web exits {started.returncode}")
    web = sandbox.layout.cluster.web
    port = door.opened(sandbox.monitor, (web.ip, web.port), web.port)
    return f"{'https' if web.cert_file else 'http'}://127.0.0.1:{port}/"
