"""What tells an agent the VIPs of the whole cluster, in a parameter of SET_STATUS: no sockets.

    request   …|VIPS:writer(10.0.0.80),reader(10.0.0.90)

A monitor by a conf of MMM 1.x says so, whose agents may have no roles in their files; others ignore it.
"""

from collections.abc import Collection
from dataclasses import replace

from mmm.config.model import Vip
from mmm.wire.agent import SET_STATUS, Request, decode_vips

_VIPS = "VIPS:"
MOST = 500
"""VIPs that are told at most: they are part of a line."""


def with_known_vips(request: Request, vips: Collection[Vip]) -> Request:
    """Return an order with the VIPs of the cluster, another request as it is; so too where there are too many."""
    if request.command != SET_STATUS or not 0 < len(vips) <= MOST:
        return request
    return replace(request, params=(*request.params, f"{_VIPS}{','.join(map(str, vips))}"))


def known_vips(request: Request) -> tuple[Vip, ...]:
    """Return the VIPs in an order, none where it has none; raises WireError."""
    said = next((param for param in request.params[3:] if param.startswith(_VIPS)), _VIPS)
    return decode_vips(said.removeprefix(_VIPS))
