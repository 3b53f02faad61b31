"""What a window says of a host of `naive.host`: its row and its features, by name."""

import math


def describe(host, one_way):
    count = host.count
    row = {"slot": host.slot, "mac": host.mac, "vlan": host.vlan, "ip_version": host.ip_version}
    row["hi"], row["lo"] = host.address
    for side, peer, port, flow in (
        ("out", host.peer_out, host.port_out, host.opened),
        ("in", host.peer_in, host.port_in, host.received),
    ):
        packets = count[f"packets_{side}"]
        row[f"peer_{side}_hi"], row[f"peer_{side}_lo"] = peer.leader
        row[f"peer_{side}_share"] = peer.votes / max(packets, 1)
        row[f"port_{side}"] = port.leader
        row[f"packets_{side}"], row[f"bytes_{side}"] = packets, count[f"bytes_{side}"]
        row[f"flows_{side}"] = count[f"flows_{side}"]
        (row[f"{side}_hi"], row[f"{side}_lo"]), source_port, target_port, protocol = flow
        row[f"{side}_protocol"] = protocol
        if protocol:
            row[f"{side}_src_port"], row[f"{side}_dst_port"] = source_port, target_port
    row["port_in_share"] = host.port_in.votes / max(count["packets_in"], 1)
    two_way = host.known and count["packets_out"] > 0 and count["packets_in"] > 0
    row["teaches"] = int(two_way or (one_way and host.alive))
    return row


def features(host, unanswered, failures):
    count = host.count
    values = {
        "peers_out": min(host.distinct["peers"].estimate(), count["contacts_out"]),
        "services_out": min(host.distinct["services"].estimate(), count["contacts_out"]),
        "unanswered_out": unanswered,
        "failed_damped": host.failed if failures else 0,
        "sources_in": min(host.distinct["sources"].estimate(), count["contacts_in"]),
        "unanswered_in": max(count["flows_in"] - count["answered_in"], 0),
        "half_open_in": max(count["syn_in"] - count["established_in"], 0),
        "logins_damped": host.logins if count["logins_out"] else 0,
        "arp_targets": min(host.distinct["arp"].estimate(), host.count["arp_requests"]),
    }
    plain = (
        "new_peers new_services refused_out flows_in packets_out packets_in bytes_out bytes_in "
        "repeats_out dns_bytes_out dns_queries icmp_bytes_out binding_changes odd_fragments odd_flows"
    )
    values |= {name: count[name] for name in plain.split()}
    return {name: math.log1p(value) for name, value in values.items()}
