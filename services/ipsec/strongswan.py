"""What charon is told: its own settings as text, and the connection with its key as VICI messages.

Dead peer detection of IKEv2 has no timeout of its own: a peer is dead when a request has been sent again often enough without an answer. So AWS's
timeout is cut into a quarter before the first request and three quarters of retransmissions, all equally long.
Source: strongSwan, "strongswan.conf", "swanctl.conf", "kernel-libipsec", "Expiry and Replacement of IKE and IPsec SAs" (documented).
"""

from __future__ import annotations

from collections.abc import Mapping

from services.ipsec.config import Algorithms, Config, control_socket
from services.ipsec.vici import Message

PLUGINS = ("random", "nonce", "aesni", "openssl", "aes", "sha1", "sha2", "hmac", "kdf", "gcm", "gmp", "curve25519")
"""The processor's AES before all others: libipsec takes the first that can."""
KERNEL_PLUGINS = ("kernel-netlink", "socket-default", "vici")
USERSPACE_PLUGINS = ("kernel-libipsec", *KERNEL_PLUGINS)
RETRANSMISSIONS = 4
FIRST_UNUSED_TABLE = 30000
"""Where libipsec lays the routes that it cannot be kept from laying: tables that no rule before the main table's asks."""
UNUSED_TABLE_PRIORITY = 40000
CHILD = "esp"
ENCRYPTION = {"AES128": "aes128", "AES256": "aes256", "AES128-GCM-16": "aes128gcm16", "AES256-GCM-16": "aes256gcm16"}
INTEGRITY = {"SHA1": "sha1", "SHA2-256": "sha256", "SHA2-384": "sha384", "SHA2-512": "sha512"}
GROUPS = {
    2: "modp1024", 5: "modp1536", 14: "modp2048", 15: "modp3072", 16: "modp4096", 17: "modp6144", 18: "modp8192",
    19: "ecp256", 20: "ecp384", 21: "ecp521", 22: "modp1024s160", 23: "modp2048s224", 24: "modp2048s256",
}  # fmt: skip


def settings(config: Config, *, userspace: bool, time_scale: float) -> str:
    """charon's strongswan.conf."""
    retransmit_s = 0.75 * config.dpd_timeout_s / time_scale / (RETRANSMISSIONS + 1)
    return f"""charon-systemd {{
  load = {" ".join((*PLUGINS, *(USERSPACE_PLUGINS if userspace else KERNEL_PLUGINS)))}
  port = {config.ike_port}
  port_nat_t = {config.nat_t_port}
  install_routes = no
  install_virtual_ip = no
  routing_table = {FIRST_UNUSED_TABLE + config.ike_port}
  routing_table_prio = {UNUSED_TABLE_PRIORITY}
  retransmit_base = 1
  retransmit_jitter = 0
  retransmit_timeout = {retransmit_s:.3f}
  retransmit_tries = {RETRANSMISSIONS}
  half_open_timeout = 30
  syslog {{
    identifier = testbed
    daemon {{
      default = -1
    }}
    auth {{
      default = -1
    }}
  }}
  journal {{
    default = -1
  }}
  filelog {{
    stderr {{
      default = 1
    }}
  }}
  plugins {{
    kernel-libipsec {{
      allow_peer_ts = yes
    }}
    vici {{
      socket = unix://{control_socket(config.name)}
    }}
  }}
}}
"""


def shared_key(config: Config) -> Message:
    """The message of ``load-shared``."""
    return {"id": config.name, "type": "IKE", "data": config.pre_shared_key, "owners": [str(config.local_address), str(config.remote_address)]}


def connection(config: Config, *, interface_id: int | None, time_scale: float) -> Message:
    """The message of ``load-conn``; `interface_id` is the XFRM interface's where the kernel carries ESP."""
    margin_s, fuzz_s = config.rekey_margin_s, config.rekey_margin_s * config.rekey_fuzz_percent // 100
    bound: Message = {} if interface_id is None else {"if_id_in": str(interface_id), "if_id_out": str(interface_id)}
    child: Message = {
        "mode": "tunnel",
        "local_ts": ["0.0.0.0/0"],
        "remote_ts": ["0.0.0.0/0"],
        "esp_proposals": proposals(config.phase2, with_prf=False),
        "life_time": _seconds(config.phase2_lifetime_s, time_scale),
        "rekey_time": _seconds(config.phase2_lifetime_s - margin_s, time_scale),
        "rand_time": _seconds(fuzz_s, time_scale),
        "replay_window": str(config.replay_window),
        "dpd_action": "clear",
        "close_action": "none",
        "start_action": "none",
        **bound,
    }
    return {
        config.name: {
            "version": "2",
            "local_addrs": [str(config.local_address)],
            "remote_addrs": [str(config.remote_address)],
            "local_port": str(config.ike_port),
            "proposals": proposals(config.phase1, with_prf=True),
            "encap": "yes",
            "mobike": "no",
            "unique": "replace",
            "keyingtries": "1",
            "dpd_delay": _seconds(config.dpd_timeout_s / 4, time_scale),
            "reauth_time": "0s",
            "rekey_time": _seconds(config.phase1_lifetime_s - margin_s, time_scale),
            "over_time": _seconds(margin_s, time_scale),
            "rand_time": _seconds(fuzz_s, time_scale),
            "local": {"auth": "psk", "id": str(config.local_address)},
            "remote": {"auth": "psk", "id": str(config.remote_address)},
            "children": {CHILD: child},
        }
    }


def proposals(algorithms: Algorithms, *, with_prf: bool) -> list[str]:
    """strongSwan's proposals, in order: one for the ciphers that need an integrity algorithm, one for those that do not. The pseudo-random function has the hash of the integrity."""
    groups = [GROUPS[number] for number in algorithms.dh_groups]
    hashes = [INTEGRITY[name] for name in algorithms.integrity]
    with_own = [ENCRYPTION[name] for name in algorithms.encryption if name.endswith("GCM-16")]
    plain = [ENCRYPTION[name] for name in algorithms.encryption if not name.endswith("GCM-16")]
    functions = [f"prf{name}" for name in hashes] if with_prf else []
    found = []
    if plain and hashes:
        found.append("-".join((*plain, *hashes, *functions, *groups)))
    if with_own:
        found.append("-".join((*with_own, *functions, *groups)))
    return found


def carries(associations: tuple[Message, ...]) -> bool:
    """Whether some CHILD_SA of those that ``list-sas`` tells carries packets."""
    for each in associations:
        for found in each.values():
            children = found.get("child-sas") if isinstance(found, Mapping) and found.get("state") in ("ESTABLISHED", "REKEYING", "REKEYED") else None
            for child in children.values() if isinstance(children, Mapping) else ():
                if isinstance(child, Mapping) and child.get("state") in ("INSTALLED", "REKEYING", "REKEYED"):
                    return True
    return False


def _seconds(seconds: float, time_scale: float) -> str:
    return f"{max(1, round(seconds / time_scale))}s"
