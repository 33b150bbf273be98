//! How long an SSH packet is on the wire, from what it carries: the arithmetic of RFC 4253 §6, of
//! `chacha20-poly1305@openssh.com` (OpenSSH PROTOCOL.chacha20poly1305), of AES-GCM (RFC 5647 §7.2) and of the
//! encrypt-then-MAC modes (OpenSSH PROTOCOL §1.2).
//!
//! `packet_length ‖ padding_length ‖ payload ‖ padding`, padded to the cipher's block with at least four bytes of
//! padding, then the MAC. Where the length field is not encrypted with the rest (AEAD, encrypt-then-MAC) it does not count
//! towards the block.

use crate::cue::DataRange;

/// Bytes of the length field.
const LENGTH_FIELD: u32 = 4;
/// Bytes of the padding-length field.
const PADDING_FIELD: u32 = 1;
/// Least padding (RFC 4253 §6).
const MIN_PADDING: u32 = 4;
/// Bytes of a CHANNEL_DATA message before its data: type, channel, length (RFC 4254 §5.2).
const CHANNEL_DATA_HEADER: u32 = 9;
/// The longest sequence that one key sends: function keys with modifiers, such as `ESC [ 1 5 ; 5 ~`; one more for Meta.
const LONGEST_KEY: u32 = 8;

/// Payload of a CHANNEL_OPEN "direct-tcpip" to a host of one letter, from an address of seven.
const SHORTEST_RELAY: u32 = 53;

/// Payload lengths in bytes of messages that are recognised by size.
pub(super) mod payload {
    /// SERVICE_REQUEST and SERVICE_ACCEPT of "ssh-userauth": type, name.
    pub(in crate::protocol::ssh) const SERVICE_REQUEST: u32 = 17;
    /// A message of its type alone: USERAUTH_SUCCESS, REQUEST_SUCCESS, REQUEST_FAILURE.
    pub(in crate::protocol::ssh) const STATUS: u32 = 1;
    /// IGNORE without data.
    pub(in crate::protocol::ssh) const IGNORE: u32 = 5;
    /// CHANNEL_SUCCESS, CHANNEL_FAILURE, CHANNEL_EOF, CHANNEL_CLOSE: type and channel.
    pub(in crate::protocol::ssh) const CHANNEL_STATUS: u32 = 5;
    /// CHANNEL_WINDOW_ADJUST: type, channel, bytes to add.
    pub(in crate::protocol::ssh) const WINDOW_ADJUST: u32 = 9;
    /// CHANNEL_OPEN of a session: type, "session", channel, window, packet size.
    pub(in crate::protocol::ssh) const OPEN_SESSION: u32 = 24;
    /// GLOBAL_REQUEST "no-more-sessions@openssh.com".
    pub(in crate::protocol::ssh) const NO_MORE_SESSIONS: u32 = 34;
    /// GLOBAL_REQUEST "keepalive@openssh.com" with want-reply.
    pub(in crate::protocol::ssh) const GLOBAL_KEEPALIVE: u32 = 27;
    /// CHANNEL_REQUEST "keepalive@openssh.com" with want-reply.
    pub(in crate::protocol::ssh) const CHANNEL_KEEPALIVE: u32 = 31;
    /// CHANNEL_REQUEST "shell" with want-reply.
    pub(in crate::protocol::ssh) const SHELL: u32 = 15;
    /// CHANNEL_OPEN_CONFIRMATION: type, two channels, window, packet size.
    pub(in crate::protocol::ssh) const OPEN_CONFIRMATION: u32 = 17;
    /// CHANNEL_REQUEST "auth-agent-req@openssh.com".
    pub(in crate::protocol::ssh) const AGENT: u32 = 36;
    /// CHANNEL_REQUEST "pty-req" with a dozen modes; programs name several dozens.
    pub(in crate::protocol::ssh) const USUAL_PTY: u32 = 107;
    /// CHANNEL_REQUEST "pty-req" with a five-letter terminal name and no modes: the shortest that is usual.
    pub(in crate::protocol::ssh) const SHORTEST_PTY: u32 = 47;
}

/// The lengths that one cipher and MAC give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// In bytes: a power of two.
    block: u32,
    tag: u32,
    /// The length field stands in clear before the packet, or is encrypted apart from it.
    length_apart: bool,
    /// Whether an observer can read the length field.
    pub(super) length_in_clear: bool,
}

impl Sizes {
    /// For a cipher and a MAC by their names in KEXINIT; `None` where either is not known, or where compression makes
    /// payload lengths meaningless.
    pub(super) fn of(cipher: &str, mac: &str, compression: &str) -> Option<Self> {
        if compression != "none" {
            return None;
        }
        let (block, aead) = match cipher {
            "chacha20-poly1305@openssh.com" => {
                return Some(Self { block: 8, tag: 16, length_apart: true, length_in_clear: false });
            }
            "aes128-gcm@openssh.com" | "aes256-gcm@openssh.com" | "AEAD_AES_128_GCM" | "AEAD_AES_256_GCM" => (16, true),
            "aes128-ctr"
            | "aes192-ctr"
            | "aes256-ctr"
            | "aes128-cbc"
            | "aes192-cbc"
            | "aes256-cbc"
            | "rijndael-cbc@lysator.liu.se" => (16, false),
            "3des-cbc" | "3des-ctr" | "blowfish-cbc" | "cast128-cbc" | "arcfour" | "arcfour128" | "arcfour256" => (8, false),
            _ => return None,
        };
        if aead {
            return Some(Self { block, tag: 16, length_apart: true, length_in_clear: true });
        }
        let (name, apart) = mac.strip_suffix("-etm@openssh.com").map_or((mac, false), |name| (name, true));
        let tag = match name.strip_suffix("@openssh.com").unwrap_or(name) {
            "umac-64" => 8,
            "umac-128" | "hmac-md5" => 16,
            "hmac-sha1-96" | "hmac-md5-96" => 12,
            "hmac-sha1" | "hmac-ripemd160" => 20,
            "hmac-sha2-256" => 32,
            "hmac-sha2-512" => 64,
            _ => return None,
        };
        Some(Self { block, tag, length_apart: apart, length_in_clear: apart })
    }

    /// Where one key is as long as this, and all that is shorter than two packets can be one: of a cipher and MAC that may be those, whose
    /// packets are taken to be hidden, since nobody saw where the first began. `None` where there are none such.
    pub(super) fn by_key<I: Iterator<Item = u32>>(key: u32, seen: impl Fn() -> I) -> Option<Self> {
        const TAGS: [u32; 6] = [8, 12, 16, 20, 32, 64];
        let hidden = |block, tag, length_apart| Self { block, tag, length_apart, length_in_clear: false };
        // ChaCha20-Poly1305, the default of the most common programs, before what else has that length.
        let apart = TAGS.iter().map(|tag| hidden(16, *tag, true));
        let within = TAGS.iter().flat_map(|tag| [hidden(16, *tag, false), hidden(8, *tag, false)]);
        let mut all = std::iter::once(hidden(8, 16, true)).chain(apart).chain(within);
        let fits = |sizes: &Self| {
            let two = 2 * sizes.packet(payload::STATUS);
            sizes.key() == key && seen().all(|len| len >= two || sizes.is_packet(len))
        };
        all.find(fits)
    }

    /// Length on the wire in bytes of a packet with `payload` bytes.
    #[inline(always)] // what it carries is a constant, mostly
    pub(super) const fn packet(self, payload: u32) -> u32 {
        let body = PADDING_FIELD + payload + MIN_PADDING;
        if self.length_apart { LENGTH_FIELD + self.padded(body) + self.tag } else { self.padded(LENGTH_FIELD + body) + self.tag }
    }

    /// The shortest and the longest payload that a packet of this length can carry.
    pub(super) const fn payloads(self, len: u32) -> (u32, u32) {
        let most = self.most_data(len) + CHANNEL_DATA_HEADER;
        ((most + 1).saturating_sub(self.block), most)
    }

    /// Whether what is padded of a packet of this length fills multiples of 64 bytes, as OpenSSH has it for passwords.
    pub(super) const fn is_padded_to_64(self, len: u32) -> bool {
        let rest = if self.length_apart { LENGTH_FIELD + self.tag } else { self.tag };
        len > rest && (len - rest).is_multiple_of(64)
    }

    /// Whether this is the length of a GLOBAL_REQUEST "tcpip-forward" (RFC 4254 §7.1): 27 bytes and an address, from `0.0.0.0` to what
    /// is as long as the shortest [relay](Self::is_relay).
    pub(super) const fn is_forward(self, len: u32) -> bool {
        len >= self.packet(27 + 7) && self.payloads(len).1 < SHORTEST_RELAY && self.is_packet(len)
    }

    /// Whether this is the length of a CHANNEL_OPEN "direct-tcpip" (RFC 4254 §7.2): 45 bytes, a host and an address.
    pub(super) const fn is_relay(self, len: u32) -> bool {
        self.payloads(len).0 >= SHORTEST_RELAY && len <= self.packet(45 + 253 + 45) && self.is_packet(len)
    }

    /// The next multiple of the block, which is a power of two.
    const fn padded(self, bytes: u32) -> u32 {
        (bytes + self.block - 1) & !(self.block - 1)
    }

    /// Length of a CHANNEL_DATA packet with `data` bytes.
    pub(super) const fn data(self, data: u32) -> u32 {
        self.packet(CHANNEL_DATA_HEADER + data)
    }

    /// How much data a CHANNEL_DATA packet of this length can carry.
    pub(super) const fn data_range(self, len: u32) -> DataRange {
        DataRange { least: self.most_data(len.saturating_sub(self.block)) + 1, most: self.most_data(len) }
    }

    /// The most data that a CHANNEL_DATA packet of this length can carry.
    pub(super) const fn most_data(self, len: u32) -> u32 {
        len.saturating_sub(LENGTH_FIELD + PADDING_FIELD + CHANNEL_DATA_HEADER + MIN_PADDING + self.tag)
    }

    /// Length of a packet from the value of its length field, where that is in clear.
    pub(super) const fn with_length_field(self, field: u32) -> u32 {
        LENGTH_FIELD.saturating_add(field).saturating_add(self.tag)
    }

    /// Length of the packet of a one-byte key.
    pub(super) const fn key(self) -> u32 {
        self.data(1)
    }

    /// Whether the shortest escape sequence makes a longer packet than a character.
    pub(super) const fn shows_sequences(self) -> bool {
        self.data(3) != self.data(1)
    }

    /// Whether a packet of this length can be one key with an escape sequence.
    pub(super) const fn is_sequence(self, len: u32) -> bool {
        len > self.key() && len <= self.data(LONGEST_KEY) && self.is_packet(len)
    }

    /// Whether this is the length of any one packet.
    pub(super) const fn is_packet(self, len: u32) -> bool {
        let rest = if self.length_apart { LENGTH_FIELD + self.tag } else { self.tag };
        len >= self.packet(0) && (len - rest) & (self.block - 1) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(cipher: &str, mac: &str) -> Sizes {
        Sizes::of(cipher, mac, "none").unwrap()
    }

    /// Each row was seen on the wire between real programs (see `pcaps/README.md`) or follows from `packet.c`.
    #[test]
    fn the_arithmetic_agrees_with_the_wire() {
        let chacha = sizes("chacha20-poly1305@openssh.com", "");
        assert_eq!([1, 5, 9, 10, 12, 15, 17, 24, 34].map(|n| chacha.packet(n)), [28, 36, 36, 36, 44, 44, 44, 52, 60]);
        let gcm = sizes("aes128-gcm@openssh.com", "");
        assert_eq!([1, 9, 10, 12, 24, 27].map(|n| gcm.packet(n)), [36, 36, 36, 52, 52, 52]);
        let etm = sizes("aes256-ctr", "umac-64-etm@openssh.com");
        assert_eq!([1, 10, 12, 24].map(|n| etm.packet(n)), [28, 28, 44, 44]);
        let sha2 = sizes("aes128-ctr", "hmac-sha2-512");
        assert_eq!([1, 5, 9, 10, 12, 27].map(|n| sha2.packet(n)), [80, 80, 96, 96, 96, 112]);
        let sha1 = sizes("aes128-cbc", "hmac-sha1");
        assert_eq!([1, 10, 12, 25].map(|n| sha1.packet(n)), [36, 52, 52, 68]);
        assert_eq!(sizes("aes256-ctr", "hmac-sha2-256-etm@openssh.com").packet(10), 52);
        assert_eq!(sizes("aes256-ctr", "umac-128@openssh.com").packet(10), 48);
    }

    #[test]
    fn the_data_that_a_length_can_hold_is_exactly_that() {
        for (cipher, mac) in
            [("chacha20-poly1305@openssh.com", ""), ("aes128-gcm@openssh.com", ""), ("aes128-ctr", "hmac-sha2-512")]
        {
            let sizes = sizes(cipher, mac);
            for data in 1..200 {
                let range = sizes.data_range(sizes.data(data));
                assert!((range.least..=range.most).contains(&data), "{cipher}: {data} not in {range:?}");
                assert_eq!((sizes.data(range.least), sizes.data(range.most)), (sizes.data(data), sizes.data(data)));
            }
        }
    }

    #[test]
    fn every_packet_length_is_recognised_as_one() {
        for (cipher, mac) in [
            ("chacha20-poly1305@openssh.com", ""),
            ("aes256-gcm@openssh.com", ""),
            ("aes128-ctr", "hmac-sha2-256"),
            ("aes128-ctr", "hmac-sha1-etm@openssh.com"),
            ("3des-cbc", "hmac-md5-96"),
        ] {
            let sizes = sizes(cipher, mac);
            assert!((0..2000).all(|payload| sizes.is_packet(sizes.packet(payload))), "{cipher} {mac}");
        }
    }

    #[test]
    fn what_is_not_known_gives_no_sizes() {
        assert_eq!(Sizes::of("aes128-ctr", "hmac-x", "none"), None);
        assert_eq!(Sizes::of("rot13", "hmac-sha1", "none"), None);
        assert_eq!(Sizes::of("aes128-ctr", "hmac-sha1", "zlib@openssh.com"), None);
    }
}
