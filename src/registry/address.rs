//! Trust classes of network addresses: what a registry may lead this program to.
//!
//! A registry chooses addresses for it: realms of token servers, redirects, upload locations. Without a limit one on the
//! internet could make it ask a metadata service or something behind a firewall, with its network position.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// From the narrowest network to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustClass {
    /// Link-local, multicast and metadata services: nothing there is a registry. Never contacted.
    LinkLocal,
    /// This machine.
    Loopback,
    /// Private networks: RFC 1918, RFC 6598 (carrier-grade NAT), RFC 4193 (unique local).
    Private,
    /// Everything else.
    Public,
}

/// Metadata services whose addresses are not link-local: of AWS over IPv6, of Alibaba and of Oracle.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6_PREFIX: [u16; 2] = [0xfd00, 0x0ec2];
/// NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
const NAT64_PREFIX: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

impl TrustClass {
    /// The class of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let octets = address.octets();
        if address.is_link_local() || address.is_multicast() || address.is_broadcast() || METADATA_V4.contains(&address)
        {
            Self::LinkLocal
        } else if address.is_loopback() || octets[0] == 0 {
            // 0.0.0.0/8 reaches this machine on Linux.
            Self::Loopback
        } else if address.is_private() || octets[0] == 100 && octets[1] & 0xc0 == 64 || octets[..3] == [192, 0, 0] {
            Self::Private
        } else {
            Self::Public
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let segments = address.segments();
        if let Some(embedded) = address.to_ipv4_mapped() {
            return Self::of_v4(embedded);
        }
        if segments[..6] == NAT64_PREFIX {
            let [.., a, b, c, d] = address.octets();
            return Self::of_v4(Ipv4Addr::new(a, b, c, d));
        }
        if address.is_unicast_link_local() || address.is_multicast() || segments[..2] == METADATA_V6_PREFIX {
            Self::LinkLocal
        } else if address.is_loopback() || address.is_unspecified() {
            Self::Loopback
        } else if address.is_unique_local() || segments[0] & 0xffc0 == 0xfec0 {
            // fec0::/10 was site-local once, and is still routed as such.
            Self::Private
        } else {
            Self::Public
        }
    }

    /// The class of a URL's host, if that is an address; names are judged when they are resolved.
    pub fn of_literal(url: &Url) -> Option<Self> {
        match url.host()? {
            Host::Ipv4(address) => Some(Self::of_v4(address)),
            Host::Ipv6(address) => Some(Self::of_v6(address)),
            Host::Domain(_) => None,
        }
    }

    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Public => "public",
        }
    }

    /// Whether something of this class may lead to an address of `other`: never to a narrower network.
    pub fn may_lead_to(self, other: Self) -> bool {
        other != Self::LinkLocal && other >= self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b07_addresses_have_the_class_of_their_network() {
        let cases: [(&[&str], TrustClass); 4] = [
            (
                &[
                    "169.254.169.254",
                    "::ffff:169.254.169.254",
                    "64:ff9b::a9fe:a9fe",
                    "fe80::1",
                    "fd00:ec2::254",
                    "224.0.0.1",
                    "ff02::1",
                    "100.100.100.200",
                    "255.255.255.255",
                ],
                TrustClass::LinkLocal,
            ),
            (
                &["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "0.1.2.3", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"],
                TrustClass::Loopback,
            ),
            (
                &[
                    "10.1.2.3",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                    "100.64.0.1",
                    "100.127.255.255",
                    "fd12::1",
                    "fec0::1",
                    "::ffff:10.0.0.1",
                ],
                TrustClass::Private,
            ),
            (
                &[
                    "1.1.1.1",
                    "172.32.0.1",
                    "100.128.0.1",
                    "192.0.1.1",
                    "169.253.1.1",
                    "2606:4700::1111",
                    "::ffff:1.1.1.1",
                ],
                TrustClass::Public,
            ),
        ];
        for (addresses, class) in cases {
            for address in addresses {
                assert_eq!(TrustClass::of(address.parse().unwrap()), class, "{address}");
            }
        }
    }

    #[test]
    fn b07_nothing_leads_to_a_narrower_network() {
        use TrustClass::{LinkLocal, Loopback, Private, Public};
        let allowed = [
            (Public, Public),
            (Private, Public),
            (Private, Private),
            (Loopback, Public),
            (Loopback, Private),
            (Loopback, Loopback),
        ];
        for from in [LinkLocal, Loopback, Private, Public] {
            for to in [LinkLocal, Loopback, Private, Public] {
                let is_allowed = allowed.contains(&(from, to)) || from == LinkLocal && to != LinkLocal;
                assert_eq!(from.may_lead_to(to), is_allowed, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn b07_addresses_in_urls_are_judged_in_every_notation() {
        let class = |url: &str| TrustClass::of_literal(&Url::parse(url).unwrap());
        for url in ["http://2130706433/", "http://0x7f.1/", "http://[::1]:80/", "http://127.1/"] {
            assert_eq!(class(url), Some(TrustClass::Loopback), "{url}");
        }
        assert_eq!(class("https://registry.example/"), None);
    }
}
