//! Pseudonyms: what stands in records in place of addresses and names. Keyed, so that nobody without the key can check a guess;
//! stable, so that the same key gives the same everywhere and always.
//!
//! * **IP addresses**: ipcrypt-pfx of draft-denis-ipcrypt with the key as it is, so that any implementation of it turns them
//!   back. Two addresses that share their first *n* bits, and no more, have pseudonyms that share *n* bits, and no more; an IPv4
//!   address stays one.
//! * **Everything else**: HMAC-SHA-256 (RFC 2104) over what it is and how it reads, cut to 64 bits for names and 46 for hardware
//!   addresses. Nothing turns these back.

use std::{fmt, net::IpAddr};

use hmac::{Hmac, KeyInit, Mac};
use ipcrypt_rs::IpcryptPfx;
use sha2::Sha256;

/// Length of a key in bytes.
const KEY: usize = IpcryptPfx::KEY_BYTES;

/// A key, ready for use.
pub struct Pseudonyms {
    addresses: IpcryptPfx,
    names: Hmac<Sha256>,
}

/// Why a text is no key. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing is there.
    #[error("is empty; {ADVICE}")]
    Empty,
    /// Not only hexadecimal digits.
    #[error("holds something else than hexadecimal digits, at byte {0}; {ADVICE}")]
    NotHex(usize),
    /// Too few digits, or too many.
    #[error("has {0} hexadecimal digits where a key has {digits}; {ADVICE}", digits = 2 * KEY)]
    Length(usize),
    /// Its halves are equal, which would leave the addresses as they are.
    #[error("has two equal halves, which is no key; {ADVICE}")]
    Halves,
}

const ADVICE: &str = "make one with: openssl rand -hex 32";

impl Pseudonyms {
    /// Reads a key: 64 hexadecimal digits, with white space around them or not.
    ///
    /// # Errors
    /// [`KeyError`] where it is none.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let digits = text.trim_ascii();
        if digits.is_empty() {
            return Err(KeyError::Empty);
        }
        let mut key = [0; KEY];
        for (place, digit) in digits.iter().enumerate() {
            let value = char::from(*digit).to_digit(16).ok_or(KeyError::NotHex(blank + place))?;
            if let Some(byte) = key.get_mut(place / 2) {
                *byte = *byte << 4 | value as u8; // a digit
            }
        }
        if digits.len() != 2 * KEY {
            return Err(KeyError::Length(digits.len()));
        }
        let (first, second) = key.split_at(KEY / 2);
        if first == second {
            return Err(KeyError::Halves);
        }
        let names = Hmac::new_from_slice(&key).map_err(|_| KeyError::Empty)?; // takes any length
        Ok(Self { addresses: IpcryptPfx::new(key), names })
    }

    /// The pseudonym of an IP address, of the same version.
    #[must_use]
    pub fn ip(&self, ip: IpAddr) -> IpAddr {
        self.addresses.encrypt_ipaddr(ip)
    }

    /// The pseudonym of a hardware address: locally administered, and of a group only where it is one.
    #[must_use]
    pub fn mac(&self, mac: [u8; 6]) -> [u8; 6] {
        let [group, ..] = mac;
        let [first, b, c, d, e, f, ..] = self.digest("mac", &mac);
        [first & 0xfc | 0x02 | group & 0x01, b, c, d, e, f]
    }

    /// The pseudonym of a name: what it is a name of, a hyphen, 16 hexadecimal digits.
    #[must_use]
    pub fn name(&self, of: &str, name: &str) -> String {
        format!("{of}-{}", hex(self.digest(of, name.as_bytes()).iter().take(8)))
    }

    /// The pseudonym of a SHA-256 in hexadecimal, as long as that.
    #[must_use]
    pub fn sha256(&self, sha256: &str) -> String {
        hex(self.digest("sha256", sha256.as_bytes()).iter())
    }

    fn digest(&self, of: &str, what: &[u8]) -> [u8; 32] {
        let mut hmac = self.names.clone();
        hmac.update(b"keywitness ");
        hmac.update(of.as_bytes());
        hmac.update(&[0]);
        hmac.update(what);
        hmac.finalize().into_bytes().into()
    }
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Without the key.
impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pseudonyms").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY_TEXT: &str = "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301";

    fn pseudonyms() -> Pseudonyms {
        Pseudonyms::parse(KEY_TEXT.as_bytes()).unwrap()
    }

    /// Bits that two addresses of one version begin with both.
    fn shared(a: IpAddr, b: IpAddr) -> u32 {
        match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => unreachable!("the version stays"),
        }
    }

    /// The draft's own vectors.
    #[test]
    fn addresses_are_those_of_ipcrypt_pfx() {
        for (real, pseudonym) in [
            ("0.0.0.0", "151.82.155.134"),
            ("255.255.255.255", "94.185.169.89"),
            ("192.0.2.1", "100.115.72.131"),
            ("2001:db8::1", "c180:5dd4:2587:3524:30ab:fa65:6ab6:f88"),
        ] {
            assert_eq!(pseudonyms().ip(real.parse().unwrap()).to_string(), pseudonym);
        }
    }

    proptest! {
        #[test]
        fn version_4_shares_exactly_the_bits_it_shared(a: u32, kept in 0_u32..=32, b: u32) {
            let keep = u32::MAX.checked_shl(32 - kept).unwrap_or_default();
            let (a, b) = (IpAddr::V4(a.into()), IpAddr::V4((a & keep | b & !keep).into()));
            prop_assert_eq!(shared(pseudonyms().ip(a), pseudonyms().ip(b)), shared(a, b));
        }

        #[test]
        fn version_6_shares_exactly_the_bits_it_shared(a: u128, kept in 0_u32..=128, b: u128) {
            let keep = u128::MAX.checked_shl(128 - kept).unwrap_or_default();
            let (a, b) = (IpAddr::V6(a.into()), IpAddr::V6((a & keep | b & !keep).into()));
            prop_assert_eq!(shared(pseudonyms().ip(a), pseudonyms().ip(b)), shared(a, b));
        }

        #[test]
        fn hardware_addresses_are_made_up_ones(mac: [u8; 6]) {
            let [first, ..] = pseudonyms().mac(mac);
            prop_assert_eq!((first & 0x02, first & 0x01), (0x02, mac[0] & 0x01));
        }
    }

    #[test]
    fn another_key_gives_other_pseudonyms() {
        let other = Pseudonyms::parse(KEY_TEXT.replace("ab", "ac").as_bytes()).unwrap();
        let ip = "203.0.113.9".parse().unwrap();
        assert_ne!(other.ip(ip), pseudonyms().ip(ip));
        assert_ne!(other.mac([2; 6]), pseudonyms().mac([2; 6]));
        assert_ne!(other.name("id", "jdoe"), pseudonyms().name("id", "jdoe"));
        assert_ne!(other.sha256("00"), pseudonyms().sha256("00"));
    }

    #[test]
    fn what_is_no_key_is_told_and_not_quoted() {
        let error = |text: &str| Pseudonyms::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error(" \n"), KeyError::Empty);
        assert_eq!(error(&KEY_TEXT[1..]), KeyError::Length(63));
        assert_eq!(error(&KEY_TEXT.repeat(2)), KeyError::Length(128));
        assert_eq!(error(" secret"), KeyError::NotHex(1));
        assert_eq!(error(&"a7".repeat(32)), KeyError::Halves);
        assert!(Pseudonyms::parse(format!(" {}\r\n", KEY_TEXT.to_uppercase()).as_bytes()).is_ok());
        assert!(!format!("{:?} {}", pseudonyms(), error("secret")).contains("secret"));
    }
}
