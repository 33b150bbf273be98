//! Link types: how the first byte of a frame is to be read.

/// Link-layer header type, from the tcpdump.org LINKTYPE registry. Numbers that are not decoded are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_RAW (101), LINKTYPE_IPV4 (228), LINKTYPE_IPV6 (229) and the raw-IP numbers 12 and 14 that
    /// old writers put into files: the frame begins with an IPv4 or IPv6 header.
    RawIp,
    /// Any other registered or private number; such frames are counted as not decoded.
    Unknown(u16),
}

impl LinkType {
    /// From the number in a capture file.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            other => Self::Unknown(other),
        }
    }
}
