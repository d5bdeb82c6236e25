"""Which addresses kaos may connect to on a user's behalf: those of the public internet, and what the operator allows.

Python's `is_global` is not asked: 3.11 calls some of these public (`64:ff9b::`, `2002:`), and later versions differ.
"""

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network

_HOST_AND_PORT: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})")
_PORTS: Final = range(1, 1 << 16)
# IANA's registries of special-purpose addresses, and the metadata services of clouds that lie outside of them.
_SPECIAL_4: Final = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "a carrier's or a cloud's own (CGNAT)",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud's metadata service",
    "169.254.0.0/16": "link-local, where clouds keep their metadata service",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a 6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
# The public internet is 2000::/3 and nothing else, so that ::1, ::ffff:, 64:ff9b::, fc00::, fe80:: and ff00:: need no
# line of their own; in it lie ways around the table above.
_PUBLIC_6: Final = IPv6Network("2000::/3")
_SPECIAL_6: Final = {
    "2001::/23": "reserved (Teredo among it)",
    "2001:db8::/32": "for documentation",
    "2002::/16": "6to4, which leads to any IPv4 address",
    "3fff::/20": "for documentation",
}
_NAMED_6: Final = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::ffff:0:0/96": "IPv4 in IPv6, which leads to any IPv4 address",
    "64:ff9b::/96": "NAT64, which leads to any IPv4 address",
    "64:ff9b:1::/48": "NAT64, which leads to any IPv4 address",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
}
_KINDS: Final[tuple[tuple[_Network, str], ...]] = tuple(
    (ipaddress.ip_network(network), kind) for network, kind in (_SPECIAL_4 | _SPECIAL_6 | _NAMED_6).items()
)


@dataclass(frozen=True)
class Allowed:
    """What an operator allows beside the public internet: hosts by name and port, and networks."""

    hosts: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[_Network, ...] = ()

    def host(self, host: str, port: int) -> bool:
        """Whether this host may be asked at this port, whatever its address."""
        return (host.lower(), port) in self.hosts

    def address(self, address: Address) -> bool:
        """Whether the address lies in an allowed network."""
        return any(address in network for network in self.networks)


def allowed(text: str) -> Allowed:
    """Reads `host:port` and CIDR networks, separated by commas or spaces. Raises ValueError naming what is neither."""
    hosts, networks = set(), []
    for word in text.replace(",", " ").split():
        match = _HOST_AND_PORT.fullmatch(word)
        try:
            if match and int(match["port"]) in _PORTS:
                host = str(IPv6Address(match["six"])) if match["six"] else match["host"].lower()
                hosts.add((host, int(match["port"])))
            else:
                networks.append(ipaddress.ip_network(word))
        except ValueError:
            raise ValueError(f"{word[:100]!r} is neither host:port nor a network like 10.0.0.0/8") from None
    return Allowed(frozenset(hosts), tuple(networks))


def refusal(host: str, port: int, address: Address, allow: Allowed) -> str | None:
    """Why `host` at this address may not be asked ("loopback"); None where it may."""
    if allow.host(host, port) or allow.address(address):
        return None
    for network, kind in _KINDS:
        if address in network:
            return kind
    return "not public" if isinstance(address, IPv6Address) and address not in _PUBLIC_6 else None
