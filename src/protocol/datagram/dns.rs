//! Names of devices in DNS and multicast DNS (RFC 1035 §4.1, RFC 6762): what a machine asks for, and what a device says of itself.
//!
//! *Known*: that somebody here used such a name. *Not known*: whether the device has ever been used. Only IP-KVMs are looked for: whose service
//! a machine asks for by DNS, its TLS says better.

use crate::protocol::families::{self, device_name};

/// DNS, multicast DNS, and its like on Windows (RFC 4795).
pub(super) const PORTS: [u16; 3] = [53, MULTICAST_PORT, 5_355];

/// RFC 6762 §3.
pub(super) const MULTICAST_PORT: u16 = 5_353;

/// Names of one multicast message that are looked at, at most.
const MOST_NAMES: u16 = 24;

/// Labels of one name, and parts of it that stand elsewhere, at most.
const MOST_LABELS: u8 = 16;

const HEADER: usize = 12;

/// Longer names are no device's.
const LONGEST: usize = 32;

/// The first device that a message names: as what is asked for, and in multicast DNS also as what an answer is about. Where each is
/// asked for alone, the answer says its name again.
pub(super) fn product(bytes: &[u8], is_multicast: bool) -> Option<families::Facts> {
    let [questions, answers, authorities, more] = counts(bytes)?;
    let records = answers.saturating_add(authorities).saturating_add(more);
    let names = if is_multicast { questions.saturating_add(records).min(MOST_NAMES) } else { questions.min(1) };
    let mut at = HEADER;
    for nth in 0..names {
        let (name, behind) = Name::at(bytes, at)?;
        if let Some(mark) = name.whole().and_then(device_name) {
            return Some(families::Facts { mark, tls: None, name: name.whole().map(<[u8]>::to_vec) });
        }
        at = behind + 4; // type and class
        if nth >= questions {
            let &[_, _, _, _, l0, l1] = bytes.get(at..)?.first_chunk::<6>()?; // time to live, length
            at += 6 + usize::from(u16::from_be_bytes([l0, l1]));
        }
    }
    None
}

fn counts(bytes: &[u8]) -> Option<[u16; 4]> {
    let &[_, _, _, _, q0, q1, a0, a1, n0, n1, m0, m1] = bytes.first_chunk::<HEADER>()?;
    Some([[q0, q1], [a0, a1], [n0, n1], [m0, m1]].map(u16::from_be_bytes))
}

/// A name as people write it, as far as it is of interest.
#[derive(Default)]
struct Name {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Name {
    /// The name that stands at `at`, and where what follows it begins.
    fn at(bytes: &[u8], mut at: usize) -> Option<(Self, usize)> {
        let (mut name, mut behind) = (Self::default(), None);
        for _ in 0..MOST_LABELS {
            let len = *bytes.get(at)?;
            match len >> 6 {
                0 if len == 0 => return Some((name, behind.unwrap_or(at + 1))),
                0 => {
                    let label = bytes.get(at + 1..at + 1 + usize::from(len))?;
                    if name.len > 0 {
                        name.push(b".");
                    }
                    name.push(label);
                    at += 1 + usize::from(len);
                }
                // The rest stands where it was written before.
                3 => {
                    let low = *bytes.get(at + 1)?;
                    behind.get_or_insert(at + 2);
                    at = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                }
                _ => return None,
            }
        }
        None
    }

    fn push(&mut self, more: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + more.len()) {
            room.copy_from_slice(more);
        }
        self.len += more.len();
    }

    /// All of it; `None` for one that is too long.
    fn whole(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }
}
