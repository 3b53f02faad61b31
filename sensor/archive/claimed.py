"""The columns of what a flow's first bytes claim: the word of whoever sent them, verified by nobody.

=========================  ====================================================================
column                     meaning; empty where nothing was said
=========================  ====================================================================
network_protocol           application protocol that port and first bytes agree on (ECS)
dns_question_name, _type   first question of the first query or response
dns_response_code          of the first response, with dns_answers_count
tls_client_server_name     SNI of the ClientHello, with the ALPN that was chosen or offered first
                           (tls_next_protocol), the versions, the cipher and JA4
http_request_method ...    first request line, Host, User-Agent; status and Server of its response
ssh_client, ssh_server     banners
=========================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sensor.flow.record import Flows
from sensor.packet.application import protocol_name
from sensor.packet.claim import claim_fields, claim_rows

Claims = npt.NDArray[np.void]
NO_CLAIMS = claim_rows(0)

_FIELDS = (
    "dns.question.name",
    "dns.question.type",
    "dns.response_code",
    "dns.answers_count",
    "tls.client.server_name",
    "tls.client.version",
    "tls.client.ja4",
    "tls.version",
    "tls.cipher",
    "tls.next_protocol",
    "http.request.method",
    "url.domain",
    "url.path",
    "http.response.status_code",
    "http.response.server",
    "user_agent.original",
    "ssh.client",
    "ssh.server",
)
#: Column names, in order. All are text.
CLAIMED = ("network_protocol", *(name.replace(".", "_") for name in _FIELDS))


def claimed_columns(flows: Flows, claims: Claims) -> dict[str, Sequence[Any]]:
    """Return `CLAIMED` for `flows`.

    Parameters
    ----------
    flows
        `FLOW`, shape (n,); ``claim`` is a row of `claims`, or none.
    claims
        `CLAIM`, shape (m,).

    Returns
    -------
    dict
        Of lists of n texts.
    """
    found: dict[str, Sequence[Any]] = {
        "network_protocol": [protocol_name(number) for number in flows["application"].tolist()]
    }
    said = [claim_fields(claims[row]) if 0 <= row < len(claims) else {} for row in flows["claim"].tolist()]
    for column, field in zip(CLAIMED[1:], _FIELDS, strict=True):
        found[column] = [str(fields.get(field, "")) for fields in said]
    return found
