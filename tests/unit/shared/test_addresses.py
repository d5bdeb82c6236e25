"""Only the public internet is asked on a user's behalf, however an address is disguised, and what is allowed."""

from ipaddress import ip_address

import pytest

from shared.addresses import Allowed, allowed, refusal

INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",  # metadata of Alibaba
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # metadata of Azure
    "169.254.169.254",  # metadata of AWS, Azure, GCP, …
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",  # metadata of Oracle
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata of AWS
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_inside_is_refused_and_says_what_it_is(address: str) -> None:
    assert refusal("x", 80, ip_address(address), Allowed())


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "52.219.170.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"]
)
def test_outside_is_not(address: str) -> None:
    assert refusal("x", 443, ip_address(address), Allowed()) is None


def test_a_network_is_allowed_by_its_range() -> None:
    allow = allowed("10.1.0.0/16, fd00::/8 192.168.0.7")
    assert refusal("x", 80, ip_address("10.1.2.3"), allow) is None
    assert refusal("x", 80, ip_address("10.2.2.3"), allow)
    assert refusal("x", 80, ip_address("fd12::1"), allow) is None
    assert refusal("x", 80, ip_address("192.168.0.7"), allow) is None
    assert refusal("x", 80, ip_address("::ffff:10.1.2.3"), allow)


def test_a_host_is_allowed_with_its_port() -> None:
    allow = allowed("Store.Internal:9000 [::1]:80 127.0.0.1:9000")
    assert refusal("store.internal", 9000, ip_address("10.0.0.1"), allow) is None
    assert refusal("store.internal", 9001, ip_address("10.0.0.1"), allow)
    assert refusal("store.internal.evil", 9000, ip_address("10.0.0.1"), allow)
    assert refusal("::1", 80, ip_address("::1"), allow) is None
    assert refusal("127.0.0.1", 9000, ip_address("127.0.0.1"), allow) is None


@pytest.mark.parametrize(
    "text", ["intranet", "10.0.0.1/8", "host:0", "host:99999", "http://host:80", "*:80", "[::g]:80"]
)
def test_what_is_neither_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is neither host:port nor a network"):
        allowed(f"10.0.0.0/8 {text}")
