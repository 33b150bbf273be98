//! IP addresses in words: made, compared and hashed for every packet, and turned into [`IpAddr`] where somebody looks.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An IPv4 or IPv6 address; IPv4 comes first in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip {
    is_ipv6: bool,
    /// Of IPv4, all in the lower word.
    words: [u64; 2],
}

impl Ip {
    /// From the bytes of a header.
    #[must_use]
    #[inline]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self { is_ipv6: false, words: [0, u32::from_be_bytes(bytes) as u64] }
    }

    /// From the bytes of a header.
    #[must_use]
    #[inline]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(bytes);
        Self { is_ipv6: true, words: [(bits >> 64) as u64, bits as u64] }
    }

    /// From what [`Ip::is_ipv6`] and [`Ip::words`] give.
    #[must_use]
    #[inline]
    pub const fn from_words(is_ipv6: bool, words: [u64; 2]) -> Self {
        Self { is_ipv6, words }
    }

    /// Whether it is an IPv6 address.
    #[must_use]
    #[inline]
    pub const fn is_ipv6(self) -> bool {
        self.is_ipv6
    }

    /// The address as a number, its upper half first.
    #[must_use]
    #[inline]
    pub const fn words(self) -> [u64; 2] {
        self.words
    }
}

impl From<IpAddr> for Ip {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::v4(ip.octets()),
            IpAddr::V6(ip) => Self::v6(ip.octets()),
        }
    }
}

impl From<Ip> for IpAddr {
    fn from(Ip { is_ipv6, words: [upper, lower] }: Ip) -> Self {
        if is_ipv6 {
            Self::V6(Ipv6Addr::from(u128::from(upper) << 64 | u128::from(lower)))
        } else {
            Self::V4(Ipv4Addr::from(lower as u32))
        }
    }
}

impl fmt::Debug for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went_in_and_keep_their_order() {
        let texts = ["0.0.0.1", "10.0.0.9", "10.0.0.10", "255.255.255.255", "::", "::1", "::ffff:10.0.0.9", "2001:db8::1"];
        let ips = texts.map(|text| text.parse::<IpAddr>().unwrap());
        for (&a, text) in ips.iter().zip(texts) {
            assert_eq!((IpAddr::from(Ip::from(a)), format!("{:?}", Ip::from(a)).as_str()), (a, text));
            assert!(ips.iter().all(|&b| Ip::from(a).cmp(&Ip::from(b)) == a.cmp(&b)));
        }
    }
}
